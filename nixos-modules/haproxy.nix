# HAProxy. The rendered drop-in starts it with /etc/pgha/haproxy.cfg.
{
  config,
  lib,
  pkgs,
  ...
}:
lib.mkIf (builtins.elem "haproxy" config.pgha.roles) {
  services.haproxy = {
    enable = true;
    # Null is refused by an assertion, although the file it would go into is not read.
    config = "";
  };
  environment.etc."haproxy.cfg".source = lib.mkForce (config.pgha.tree + "/pgha/haproxy.cfg");
  pgha.programs = [ pkgs.haproxy ];
}
