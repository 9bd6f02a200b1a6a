# What a machine needs beside its services: a root in memory over a read-only store, drivers, network, serial console.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
{
  # virtio on every bus, in the initial RAM disk already.
  imports = [ (modulesPath + "/profiles/qemu-guest.nix") ];

  fileSystems = {
    "/" = {
      device = "tmpfs";
      fsType = "tmpfs";
      options = [ "mode=755" ];
    };
    # By a label with this image's own number: another image's disk may be attached too.
    "/nix/store" = {
      device = "/dev/disk/by-partlabel/pgha-${config.pgha.imageId}-store";
      fsType = "erofs";
      options = [ "ro" ];
      neededForBoot = true;
      # Nothing writes to it, and fsck.erofs is not made to be run as root.
      noCheck = true;
    };
  };
  boot = {
    initrd.supportedFilesystems = [ "erofs" ];
    # Hetzner Cloud's disks are SCSI disks, which the profile above does not bring.
    initrd.availableKernelModules = [ "sd_mod" ];
    # pgha-volume mounts the data disk, which no fstab names: an entry there would wait for the seed that waits for it.
    supportedFilesystems = [ "ext4" ];
    # images/disk/assemble.sh writes the boot loader.
    loader.grub.enable = false;
    kernelParams = [
      "console=tty0"
      # Without a serial line of its name QEMU's ARM machines show nothing.
      "console=${if pkgs.stdenv.hostPlatform.isAarch64 then "ttyAMA0" else "ttyS0"},115200"
      "panic=10"
    ];
  };
  networking.useNetworkd = true;
  # The rendered .network file asks for DHCP; this would add a second one for every card.
  networking.useDHCP = false;
  environment.etc."systemd/network/50-pgha.network".source =
    ../debian/machine/etc/systemd/network/50-pgha.network;

  # etcd follows network-online.target: a card that gets no address would hold them back for two minutes.
  systemd.network.wait-online.enable = false;

  # Nothing is installed or switched on a running node.
  nix.enable = false;
  system.switch.enable = false;
  documentation.enable = false;
  environment.defaultPackages = lib.mkForce [ ];
  services.journald.storage = "volatile";
}
