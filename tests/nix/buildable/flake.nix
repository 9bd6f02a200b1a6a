# Stands in for nixpkgs where something must really be built: every system is one small file, made by /bin/sh alone. What the
# builder does is in `recipe`, which the test replaces.
{
  outputs =
    { self }:
    {
      lib = {
        genAttrs =
          names: make:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = make name;
            }) names
          );
        nixosSystem =
          { modules }:
          let
            hostPlatform =
              (builtins.head (builtins.filter (module: module ? nixpkgs) modules)).nixpkgs.hostPlatform;
          in
          {
            config.system.build.image = derivation {
              name = "tiny-image";
              system = hostPlatform;
              builder = "/bin/sh";
              args = [ ./recipe ];
              PATH = "/usr/bin:/bin";
            };
          };
      };
    };
}
