# PgBouncer behind each port for clients. Units and files are rendered; nixpkgs' module would start one more.
{
  config,
  lib,
  pkgs,
  ...
}:
lib.mkIf (builtins.elem "haproxy" config.pgha.roles) {
  pgha.programs = [ pkgs.pgbouncer ];
}
