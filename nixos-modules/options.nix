{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.pgha = {
    tree = mkOption {
      type = types.path;
      description = "Folder `etc` of a role set, as `pgha render` writes it.";
    };
    treeDigest = mkOption {
      type = types.str;
      description = "Digest of the tree, which `pgha status` compares with the cluster file's.";
    };
    imageId = mkOption {
      type = types.str;
      description = "Eight hexadecimal digits in the labels of the image's partitions.";
    };
    roles = mkOption {
      type = types.listOf (
        types.enum [
          "etcd"
          "haproxy"
          "postgres"
        ]
      );
      description = "What runs on the node.";
    };
    postgresql.major = mkOption {
      type = types.int;
      description = "PostgreSQL's major version. The data volume of another one is refused at boot.";
    };
    postgresql.extensions = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Extensions that some database declares and that PostgreSQL's own contrib does not have.";
    };
    programs = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages whose programs are in `/etc/pgha/bin`, the only path our units and scripts know.";
    };
  };
}
