# PgBouncer beside every PostgreSQL. The rendered drop-in starts it with /etc/pgha/pgbouncer.ini and adds Restart=, which
# the module lacks.
{
  config,
  lib,
  ...
}:
lib.mkIf (builtins.elem "postgres" config.pgha.roles) {
  services.pgbouncer.enable = true;
  environment.etc."pgbouncer/pgbouncer.ini".source = lib.mkForce (
    config.pgha.tree + "/pgha/pgbouncer.ini"
  );
  pgha.programs = [ config.services.pgbouncer.package ];
}
