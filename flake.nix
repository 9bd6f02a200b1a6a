{
  description = "Highly available PostgreSQL from one cluster file, on immutable node images";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEach = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      # Every file of a folder is a check of its own name: FILE.nix becomes PREFIX-FILE.
      listed =
        prefix: folder: pkgs:
        let
          names = builtins.filter (lib.hasSuffix ".nix") (builtins.attrNames (builtins.readDir folder));
        in
        builtins.listToAttrs (
          map (name: {
            name = "${prefix}-${lib.removeSuffix ".nix" name}";
            value = import (folder + "/${name}") { inherit self nixpkgs pkgs; };
          }) names
        );
      quick = listed "quick" ./tests/nix/checks;
    in
    {
      packages = forEach (pkgs: rec {
        pgha = pkgs.callPackage ./images/nixos/package.nix { };
        default = pgha;
        # Everything `nix flake check` builds that needs no KVM: `nix build .#quick-checks`.
        quick-checks = pkgs.linkFarm "pgha-quick-checks" (quick pkgs);
      });

      apps = forEach (pkgs: rec {
        pgha = {
          type = "app";
          program = "${self.packages.${pkgs.stdenv.hostPlatform.system}.pgha}/bin/pgha";
          meta.description = "The command line of pgha";
        };
        default = pgha;
      });

      nixosModules.default = import ./nixos-modules;

      # One role set's system and its disk: `configuration` is the rendered configuration.nix.
      lib = rec {
        mkSystem = import ./images/nixos/system.nix nixpkgs;
        mkImage = arguments: (mkSystem arguments).config.system.build.image;
      };

      # Those with vm- in their name need KVM.
      checks = forEach (pkgs: quick pkgs // import ./tests/vm { inherit self nixpkgs pkgs; });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.pgha ];
          packages = [
            pkgs.clippy
            pkgs.rustfmt
            pkgs.shellcheck
            pkgs.nixfmt
          ];
        };
      });

      formatter = forEach (pkgs: pkgs.nixfmt-tree);
    };
}
