# Patroni and PostgreSQL. The rendered drop-in starts Patroni with /run/pgha/patroni.d, so of the module's own
# configuration file nothing is read; its mandatory options hold names that would be noticed at once.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.pgha.postgresql) major extensions;
  contract = builtins.fromJSON (builtins.readFile (config.pgha.tree + "/pgha/contract.json"));
  # Packages that are not called like the extension they hold.
  renamed = {
    address_standardizer = "postgis";
    hll = "pg_hll";
    http = "pgsql-http";
    plperlu = "plperl";
    plpython3u = "plpython3";
    pltclu = "pltcl";
    postgis_raster = "postgis";
    postgis_topology = "postgis";
    timescaledb = "timescaledb-apache";
    vector = "pgvector";
  };
  packageOf = name: renamed.${name} or name;
  postgresql = pkgs."postgresql_${toString major}".withPackages (
    available:
    map (
      name: available.${name} or (throw "no package of this nixpkgs holds the extension `${name}`")
    ) (lib.unique (map packageOf extensions))
  );
  # Real programs instead of links: nixpkgs' PostgreSQL finds its files relative to the path it was called by, links
  # unresolved, and beside /etc/pgha/bin there are none.
  programs = pkgs.runCommand "postgresql-programs" { } ''
    mkdir -p $out/bin
    for program in ${postgresql}/bin/*; do
      printf '#!%s\nexec %s "$@"\n' ${pkgs.runtimeShell} "$program" > "$out/bin/''${program##*/}"
    done
    chmod 755 $out/bin/*
  '';
in
# services.postgresql stays off: it would run a second server, and nothing upstream objects to that.
lib.mkIf (builtins.elem "postgres" config.pgha.roles) {
  services.patroni = {
    enable = true;
    scope = contract.cluster;
    name = "unset";
    nodeIp = "127.0.0.1";
    # With names here the module would write a pg_hba of its own into its file.
    otherNodesIps = [ ];
    postgresqlPackage = postgresql;
    # Away from the defaults, so that the module makes no StateDirectory beside the data volume.
    postgresqlDataDir = "/var/lib/pgha/postgresql/data";
    dataDir = "/var/lib/pgha/patroni";
    user = "postgres";
    group = "postgres";
  };
  # The module points patronictl at its own file, which has a placeholder for a name and no password.
  environment.sessionVariables.PATRONICTL_CONFIG_FILE = lib.mkForce "/run/pgha/patroni.d";
  # Nobody reads it, and whoever found it would take it for the node's.
  environment.etc."patroni-${contract.cluster}-unset.yaml".enable = false;
  pgha.programs = [
    programs
    (pkgs.patroni.overrideAttrs (upstream: {
      patches = (upstream.patches or [ ]) ++ [
        ../images/debian/patroni-prompt-switchover.patch
        ../images/debian/patroni-stale-leader.patch
      ];
    }))
  ];
}
