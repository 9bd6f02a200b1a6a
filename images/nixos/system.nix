# A role set's NixOS system from its rendered configuration.nix.
nixpkgs:
{
  system,
  configuration,
  modules ? [ ],
}:
nixpkgs.lib.nixosSystem {
  modules = [
    ../../nixos-modules
    configuration
    { nixpkgs.hostPlatform = system; }
  ]
  ++ modules;
}
