# Upstream's profile adds virtio drivers to the initial RAM disk.
{
  boot.initrd.availableKernelModules = [ "virtio_blk" ];
}
