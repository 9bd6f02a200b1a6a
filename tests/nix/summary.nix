# What one rendered role set makes of NixOS, as far as golden files show it: names instead of store paths, which differ
# from one version of Nix to the next.
{
  nixpkgs,
  configuration,
}:
let
  flake = import (nixpkgs + "/flake.nix");
  outputs = flake.outputs { self = outputs; };
  inherit
    (import ../../images/nixos/system.nix outputs {
      inherit configuration;
      system = "x86_64-linux";
    })
    config
    ;
  # The part of a path below the tree; of anything else only the last name.
  short =
    source:
    let
      tree = toString config.pgha.tree;
      text = builtins.unsafeDiscardStringContext (toString source);
      length = builtins.stringLength tree;
    in
    if builtins.substring 0 length text == tree then
      "TREE" + builtins.substring length (-1) text
    else
      baseNameOf text;
  name = package: package.name;
  named = service: service // { package = name service.package; };
in
builtins.seq config.system.build.image.drvPath {
  # The image's number moves with every rendered file; that it is there is what matters.
  fileSystems = builtins.mapAttrs (
    _: entry:
    entry // { device = builtins.replaceStrings [ config.pgha.imageId ] [ "IMAGE" ] entry.device; }
  ) config.fileSystems;
  kernelParams = config.boot.kernelParams;
  etc = builtins.mapAttrs (_: file: if file.source != null then short file.source else file.text) (
    removeAttrs config.environment.etc (
      [
        "pgha/manifest.json"
        "ssh/sshd_config"
        "pgha/bin"
      ]
      ++ builtins.filter (path: !config.environment.etc.${path}.enable) (
        builtins.attrNames config.environment.etc
      )
    )
  );
  programs = builtins.sort builtins.lessThan (map name config.pgha.programs);
  users = builtins.mapAttrs (_: user: user.uid) config.users.users;
  wants = config.systemd.targets.multi-user.wants;
  services = {
    etcd = named config.services.etcd;
    haproxy = named config.services.haproxy;
    openssh = config.services.openssh;
    patroni =
      if config.services.patroni.enable then
        config.services.patroni // { postgresqlPackage = name config.services.patroni.postgresqlPackage; }
      else
        null;
  };
}
