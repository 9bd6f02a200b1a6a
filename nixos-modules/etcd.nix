# The etcd member. The rendered drop-in names the files of ETCD_* variables, which win over those of the unit.
{
  config,
  lib,
  ...
}:
lib.mkIf (builtins.elem "etcd" config.pgha.roles) {
  services.etcd = {
    enable = true;
    # Never used: /run/pgha/etcd.env has the node's. Without it the empty host name would make a member called "default".
    name = "unset";
    # The module makes this directory by tmpfiles; before the volume is mounted that is a directory nobody sees again.
    dataDir = "/var/lib/pgha/etcd";
  };
  pgha.programs = [ config.services.etcd.package ];
}
