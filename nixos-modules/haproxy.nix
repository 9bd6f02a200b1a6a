# HAProxy. The rendered drop-in starts it with /etc/pgha/haproxy.cfg.
{
  config,
  lib,
  ...
}:
lib.mkIf (builtins.elem "haproxy" config.pgha.roles) {
  services.haproxy = {
    enable = true;
    # Null is refused by an assertion, although the file it would go into is not read.
    config = "";
  };
  environment.etc."haproxy.cfg".source = lib.mkForce (config.pgha.tree + "/pgha/haproxy.cfg");
  pgha.programs = [ config.services.haproxy.package ];
}
