# What every node has: users with fixed numbers, the seed, the check of its data volume, the firewall.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  contract = builtins.fromJSON (builtins.readFile (config.pgha.tree + "/pgha/contract.json"));
in
{
  # The numbers are in the data volume's inodes: they must be the same on every base and in every later image.
  users.users = builtins.mapAttrs (name: id: {
    uid = id;
    group = name;
    isSystemUser = true;
  }) contract.ids;
  users.groups = builtins.mapAttrs (_: id: { gid = id; }) contract.ids;

  # The operator's key comes with the seed, so nobody can log in to an image alone, and nobody should.
  users.mutableUsers = false;
  users.allowNoPasswordLogin = true;

  # A node has no users, and root needs no bit to become root. Not `security.enableWrappers`: PAM calls its helper by the path of
  # the wrapper, for root as well.
  systemd.services.suid-sgid-wrappers.postStart = "find /run/wrappers -type f -perm /6000 -exec chmod u-s,g-s {} +";
  systemd.services.suid-sgid-wrappers.path = [ pkgs.findutils ];

  # Through the target: naming the services here would give them an Environment=PATH that wins over the rendered one.
  systemd.targets.multi-user.wants = builtins.filter (lib.hasPrefix "pgha-") contract.units;

  # pgha-firewall.service loads the rendered rules; a second firewall would only hide which one drops a packet.
  networking.firewall.enable = false;
  networking.nftables.enable = false;
  # The seed sets the name at boot: nodes of one role set share this image.
  networking.hostName = "";

  pgha.programs = [
    pkgs.coreutils
    pkgs.util-linux
    pkgs.procps
    pkgs.systemd
    pkgs.findutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.gnutar
    pkgs.zstd
    pkgs.jq
    pkgs.curl
    pkgs.e2fsprogs
    pkgs.iproute2
    pkgs.nftables
    pkgs.inetutils
  ];
}
