# A NixOS VM test for each file of ./scenarios: three nodes of tests/clusters/vm.toml, their seeds made by pgha itself at the
# beginning of each run, because a seed lets a blank disk be formatted for 24 hours only.
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

  pgha = self.packages.${pkgs.stdenv.hostPlatform.system}.pgha;

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
      memorySize = 2048;
      # The root in memory, as in an image.
      diskImage = null;
      # Blank: the seed lets pgha-volume format it.
      emptyDiskImages = [ 2048 ];
      qemu.options = [
        # helpers.py sets it.
        "-fw_cfg name=opt/io.systemd.credentials/pgha.seed,file=$PGHA_SEEDS/${member.name}"
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
          stranger = { };
        };
      testScript = ''
        PGHA = "${pgha}/bin/pgha"
        CLUSTER = "${clusterFile}"
        ${builtins.readFile ./helpers.py}
        ${builtins.readFile (./scenarios + "/${file}")}
      '';
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
