# One disk image for each role set of this rendering, written by pgha: nix build path:.#ROLE_SET
{
  description = "The node images of one cluster";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      mkSystem = import ./images/nixos/system.nix nixpkgs;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      isRoleSet = name: builtins.pathExists (./. + "/${name}/configuration.nix");
      roleSets = builtins.filter isRoleSet (builtins.attrNames (builtins.readDir ./.));
      image =
        system: name:
        (mkSystem {
          inherit system;
          configuration = ./. + "/${name}/configuration.nix";
        }).config.system.build.image;
    in
    {
      packages = lib.genAttrs systems (system: lib.genAttrs roleSets (image system));
    };
}
