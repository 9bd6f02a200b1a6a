# The tool itself, with the programs it calls.
{
  lib,
  rustPlatform,
  makeWrapper,
  cpio,
  dosfstools,
  git,
  grub2,
  grub2_efi,
  iproute2,
  kmod,
  # Not in nixpkgs yet: the Debian base takes the host's.
  mmdebstrap ? null,
  mtools,
  nix,
  openssh,
  postgresql_17,
  python3,
  squashfsTools,
  stdenv,
  symlinkJoin,
  systemd,
  util-linux,
  xz,
  zstd,
}:
let
  # images/disk/assemble.sh writes both firmwares' loaders on x86.
  grubs = symlinkJoin {
    name = "grub-platforms";
    paths = [ grub2_efi ] ++ lib.optional stdenv.hostPlatform.isx86_64 grub2;
  };
  called = [
    cpio
    dosfstools
    grubs
    iproute2
    kmod
    mtools
    nix
    openssh
    postgresql_17
    (python3.withPackages (packages: [ packages.pip ]))
    squashfsTools
    systemd
    util-linux
    xz
    zstd
  ]
  ++ lib.optional (mmdebstrap != null) mmdebstrap;
  # Everything but build results and what only tests read: the recipes and modules are embedded into the program.
  kept =
    path: type:
    !(
      builtins.elem (baseNameOf path) [
        "target"
        ".git"
        "tests"
      ]
      && type == "directory"
      && dirOf path == toString ../..
    );
in
rustPlatform.buildRustPackage {
  pname = "pgha";
  inherit ((builtins.fromTOML (builtins.readFile ../../Cargo.toml)).workspace.package) version;
  src = lib.cleanSourceWith {
    src = ../..;
    filter = kept;
  };
  cargoLock.lockFile = ../../Cargo.lock;
  cargoBuildFlags = [
    "--package"
    "pgha"
  ];
  # The tests compare golden files and start clusters: `tests/run` does that, on a machine of its own.
  doCheck = false;
  nativeBuildInputs = [
    git
    makeWrapper
  ];
  postInstall = ''
    wrapProgram $out/bin/pgha --suffix PATH : ${lib.makeBinPath called} \
      --set-default GRUB_DIR ${grubs}/lib/grub
    for shell in bash zsh fish; do
      $out/bin/pgha completions $shell > pgha.$shell
    done
    install -Dm644 pgha.bash $out/share/bash-completion/completions/pgha
    install -Dm644 pgha.zsh $out/share/zsh/site-functions/_pgha
    install -Dm644 pgha.fish $out/share/fish/vendor_completions.d/pgha.fish
  '';
  meta = {
    description = "Highly available PostgreSQL from one cluster file, on immutable node images";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "pgha";
    platforms = lib.platforms.linux;
  };
}
