# Stands in for nixpkgs where none can be had: a small module system, declarations of just the upstream options our modules
# set, and packages that are names. A green check against it says that our files fit together and fit these declarations,
# and nothing about nixpkgs itself.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
      packagesOf = system: import ./packages.nix { inherit lib system; };
    in
    {
      lib = lib // {
        nixosSystem =
          { modules }:
          let
            evaluated = lib.evalModules {
              modules = modules ++ [ ./nixos.nix ];
              specialArgs = {
                pkgs = packagesOf evaluated.config.nixpkgs.hostPlatform;
                modulesPath = ./modules;
              };
            };
          in
          evaluated;
      };
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] packagesOf;
    };
}
