# Packages that are little more than names. Each is a derivation, so that a flake may output it; none is worth building.
{ lib, system }:
let
  named =
    name:
    derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [
        "-c"
        "echo ${name} > $out"
      ];
    };
  postgresql =
    major:
    named "postgresql-${major}"
    // {
      psqlSchema = major;
      withPackages =
        choose:
        let
          available = lib.genAttrs [ "pgvector" "postgis" "timescaledb" ] named;
          chosen = map (package: package.name) (choose available);
        in
        named (builtins.concatStringsSep "-" ([ "postgresql-${major}-with" ] ++ chosen));
    };
  names = [
    "clippy"
    "coreutils"
    "cpio"
    "dosfstools"
    "e2fsprogs"
    "findutils"
    "erofs-utils"
    "grub2"
    "grub2_efi"
    "linux"
    "mtools"
    "curl"
    "etcd"
    "git"
    "gnugrep"
    "gnused"
    "gnutar"
    "glibc"
    "haproxy"
    "icu"
    "inetutils"
    "iproute2"
    "jq"
    "kmod"
    "makeWrapper"
    "nftables"
    "nix"
    "nixfmt"
    "nixfmt-tree"
    "openssh"
    "pgbouncer"
    "procps"
    "rustfmt"
    "shellcheck"
    "squashfsTools"
    "systemd"
    "util-linux"
    "xz"
    "zstd"
  ];
in
lib.genAttrs names named
// rec {
  inherit lib system;
  patroni = named "patroni" // {
    overrideAttrs =
      change:
      builtins.deepSeq (map builtins.readFile (change { }).patches) (named "patroni-with-patches");
  };
  postgresql_17 = postgresql "17";
  postgresql_18 = postgresql "18";
  python3.withPackages =
    choose: builtins.seq (choose { pip = named "pip"; }) (named "python3-with-packages");
  runCommand =
    name: _: script:
    builtins.seq script (named name);
  symlinkJoin = { name, paths }: builtins.deepSeq paths (named name);
  closureInfo = { rootPaths }: builtins.deepSeq (map (p: p.drvPath) rootPaths) (named "closure");
  stdenv.hostPlatform = {
    inherit system;
    isx86_64 = system == "x86_64-linux";
    isAarch64 = system == "aarch64-linux";
  };
  runtimeShell = "/bin/sh";
  writeText = name: text: builtins.toFile name text;
  buildEnv = { name, paths, ... }: named name // { inherit paths; };
  linkFarm =
    name: entries:
    builtins.deepSeq (map (entry: entry.drvPath) (builtins.attrValues entries)) (named name);
  mkShell =
    { packages, inputsFrom }:
    builtins.deepSeq (map (p: p.name) (packages ++ inputsFrom)) (named "shell");
  rustPlatform.buildRustPackage =
    {
      pname,
      version,
      src,
      cargoLock,
      ...
    }:
    builtins.seq (builtins.fromTOML (builtins.readFile cargoLock.lockFile)).package (
      named "${pname}-${version}"
    );
  testers.runNixOSTest = test: builtins.seq test.testScript (named "vm-test-${test.name}");
  callPackage =
    file: overrides:
    let
      function = import file;
      everything = lib.genAttrs names named // {
        inherit
          lib
          rustPlatform
          stdenv
          symlinkJoin
          postgresql_17
          python3
          ;
      };
    in
    function (builtins.intersectAttrs (builtins.functionArgs function) everything // overrides);
}
