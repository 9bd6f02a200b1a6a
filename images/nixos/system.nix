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
    ./machine.nix
    ./disk.nix
    configuration
    { nixpkgs.hostPlatform = system; }
  ]
  ++ modules;
}
