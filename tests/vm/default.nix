# A NixOS VM test for each file of ./scenarios: three nodes of tests/clusters/vm.toml, their seeds made by pgha itself.
{
  self,
  nixpkgs,
  pkgs,
}:
let
  inherit (nixpkgs) lib;
  clusterFile = ../clusters/vm.toml;
  # Rendered and committed, as for every cluster of that folder, so that nothing is imported from a derivation.
  configuration = ../golden/vm/etcd-haproxy-postgres/configuration.nix;
  members = (builtins.fromTOML (builtins.readFile clusterFile)).node;

  seeds =
    pkgs.runCommand "pgha-vm-seeds"
      { nativeBuildInputs = [ self.packages.${pkgs.stdenv.hostPlatform.system}.pgha ]; }
      ''
        cp ${clusterFile} vm.toml
        mkdir $out
        for node in ${toString (map (member: member.name) members)}; do
          pgha -f vm.toml seed "$node" --new-volume --out seed
          base64 -d seed > "$out/$node"
        done
      '';

  machine = member: {
    imports = [
      ../../nixos-modules
      configuration
    ];
    # The seed sets the host name; drivers before April 2026 call the machine after this.
    system.name = member.name;
    networking.interfaces.eth1.ipv4.addresses = lib.mkForce [
      {
        inherit (member) address;
        prefixLength = 24;
      }
    ];
    virtualisation = {
      memorySize = 1024;
      # Blank: the seed lets pgha-volume format it.
      emptyDiskImages = [ 2048 ];
      qemu.options = [
        "-fw_cfg name=opt/io.systemd.credentials/pgha.seed,file=${seeds}/${member.name}"
      ];
    };
  };

  # The last node with another image: what a roll would boot on its data disk.
  next = {
    imports = [ (machine (lib.last members)) ];
    system.name = lib.mkForce "node-3-next";
    environment.etc."another-image".text = "";
  };

  test =
    file:
    pkgs.testers.runNixOSTest {
      name = "pgha-${lib.removeSuffix ".py" file}";
      nodes =
        builtins.listToAttrs (
          map (member: {
            inherit (member) name;
            value = machine member;
          }) members
        )
        // {
          "node-3-next" = next;
        };
      testScript = builtins.readFile ./helpers.py + "\n" + builtins.readFile (./scenarios + "/${file}");
      # tests/vm/check does both, with the types of ./driver.pyi.
      skipTypeCheck = true;
      skipLint = true;
    };
  files = builtins.filter (lib.hasSuffix ".py") (builtins.attrNames (builtins.readDir ./scenarios));
in
builtins.listToAttrs (
  map (file: {
    name = "vm-${lib.removeSuffix ".py" file}";
    value = test file;
  }) files
)
