# PgBouncer behind each port for clients. Units and files are rendered; nixpkgs' module would start one more.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  contract = builtins.fromJSON (builtins.readFile (config.pgha.tree + "/pgha/contract.json"));
in
lib.mkIf (builtins.elem "haproxy" config.pgha.roles) {
  pgha.programs = [
    pkgs.pgbouncer
  ]
  # pgha-liveness asks with a client of PostgreSQL; nodes that run PostgreSQL have it.
  ++ lib.optional (
    !builtins.elem "postgres" config.pgha.roles
  ) pkgs."postgresql_${toString contract.postgresql_major}";
}
