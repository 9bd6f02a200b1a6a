# The rendered tree under /etc, unchanged: the contract compares every file with its digest.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (config.pgha) tree;
  major = toString config.pgha.postgresql.major;

  # NixOS makes these two folders as a whole from packages, so a single file in them would clash.
  packaged = [
    "/systemd"
    "/tmpfiles.d"
  ];

  filesBelow =
    folder:
    lib.concatLists (
      lib.mapAttrsToList (
        name: type:
        let
          path = "${folder}/${name}";
        in
        if builtins.elem path packaged then
          [ ]
        else if type == "directory" then
          filesBelow path
        else
          [ path ]
      ) (builtins.readDir (tree + folder))
    );

  units = pkgs.runCommand "pgha-units" { } ''
    mkdir -p $out/etc/systemd $out/lib
    cp -r ${tree}/systemd/system $out/etc/systemd/system
    cp -r ${tree}/tmpfiles.d $out/lib/tmpfiles.d
  '';

  programs = pkgs.buildEnv {
    name = "pgha-programs";
    paths = config.pgha.programs;
    pathsToLink = [ "/bin" ];
    # Several packages bring a `kill` or a `hostname`: nixpkgs' priorities choose, and any of them will do.
    ignoreCollisions = true;
  };
in
{
  # What the contract's digests are of is what the daemons are given.
  assertions = lib.mapAttrsToList (path: digest: {
    assertion = builtins.hashFile "sha256" (tree + lib.removePrefix "/etc" path) == digest;
    message = "${path} was altered after `pgha render`: render again";
  }) (builtins.fromJSON (builtins.readFile (tree + "/pgha/contract.json"))).files;
  environment.etc =
    builtins.listToAttrs (
      map (path: {
        name = lib.removePrefix "/" path;
        value.source = tree + path;
      }) (filesBelow "")
    )
    // {
      "pgha/bin".source = "${programs}/bin";
      "pgha/manifest.json".text = builtins.toJSON {
        role_set = config.pgha.roles;
        base = "nixos";
        tree = config.pgha.treeDigest;
        # Of what runs, and of what sorts text in indexes: an image with others must not take the data over.
        versions = builtins.mapAttrs (_: lib.getVersion) {
          inherit (pkgs)
            etcd
            glibc
            haproxy
            icu
            openssh
            patroni
            pgbouncer
            systemd
            ;
          "postgresql-${major}" = pkgs."postgresql_${major}";
        };
      };
    };
  # Drop-ins of a package are merged with the units of nixpkgs' modules; `[Install]` is ignored, node.nix has the wants.
  systemd.packages = [ units ];
  systemd.tmpfiles.packages = [ units ];
}
