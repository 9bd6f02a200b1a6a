# One raw disk from a system, in an ordinary sandbox build: no virtual machine, no mount. The same assembler writes the disks
# of the Debian base.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.system.build) toplevel;
  closure = pkgs.closureInfo { rootPaths = [ toplevel ]; };
  grub = pkgs.symlinkJoin {
    name = "grub-platforms";
    paths = [
      "${pkgs.grub2_efi}/lib/grub"
    ]
    ++ lib.optional pkgs.stdenv.hostPlatform.isx86_64 "${pkgs.grub2}/lib/grub";
  };
  commandLine = toString ([ "init=${toplevel}/init" ] ++ config.boot.kernelParams);
in
{
  # Known before anything is built, because the fstab inside the store names it.
  pgha.imageId = builtins.substring 0 8 (
    builtins.hashString "sha256" "${config.pgha.treeDigest} ${config.system.nixos.version}"
  );

  system.build.image =
    pkgs.runCommand "pgha-image"
      {
        nativeBuildInputs = [
          pkgs.dosfstools
          pkgs.erofs-utils
          pkgs.grub2_efi
          pkgs.mtools
          pkgs.util-linux
        ];
        manifest = config.environment.etc."pgha/manifest.json".text;
        # The image holds copies of store paths, not references to them.
        __structuredAttrs = true;
        unsafeDiscardReferences.out = true;
      }
      ''
        tar --create --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner --hard-dereference \
          --directory=/nix/store --files-from=<(sed 's,^/nix/store/,,' ${closure}/store-paths) |
          mkfs.erofs --quiet --force-uid=0 --force-gid=0 --tar=f -zlz4 -T1 -U 00000000-0000-4000-8000-0000${config.pgha.imageId} store.erofs
        mkdir -p $out
        IMAGE_ID=${config.pgha.imageId} GRUB_DIR=${grub} sh ${../disk/assemble.sh} work $out/disk.raw \
          ${config.boot.kernelPackages.kernel}/${config.system.boot.loader.kernelFile} \
          ${config.system.build.initialRamdisk}/${config.system.boot.loader.initrdFile} \
          ${lib.escapeShellArg commandLine} store=store.erofs
        # What is in it, and what takes the space, for the manifest.
        printf '%s\n' "$manifest" > $out/manifest.json
        xargs du -sb < ${closure}/store-paths | sort -rn | sed -n 1,20p > $out/contents
      '';
}
