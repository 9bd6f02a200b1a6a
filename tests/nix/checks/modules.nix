# Every golden rendering becomes a system: options exist, types fit, assertions hold. Nothing is built but a list of names.
{
  self,
  nixpkgs,
  pkgs,
}:
let
  inherit (nixpkgs) lib;
  golden = ../../golden;
  imageOf =
    path:
    self.lib.mkImage {
      inherit (pkgs.stdenv.hostPlatform) system;
      configuration = path;
    };
  roleSets = builtins.concatLists (
    map (
      cluster:
      map (roleSet: golden + "/${cluster}/${roleSet}/configuration.nix") (
        builtins.filter (name: builtins.pathExists (golden + "/${cluster}/${name}/configuration.nix")) (
          builtins.attrNames (builtins.readDir (golden + "/${cluster}"))
        )
      )
    ) (builtins.attrNames (builtins.readDir golden))
  );
  # The .drv files of all systems: evaluation has to reach every option, but no system is built.
  evaluated = map (path: builtins.unsafeDiscardStringContext (imageOf path).drvPath) roleSets;
in
pkgs.runCommand "pgha-modules" { } (
  builtins.deepSeq evaluated "echo ${toString (lib.length evaluated)} > $out"
)
