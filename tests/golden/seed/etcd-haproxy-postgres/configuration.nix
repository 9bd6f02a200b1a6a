# Role set etcd-haproxy-postgres of cluster postgres-cluster, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "3d934171059980d399983d4e3fbeb4184b680027e986e9ecf8421dc6c2d5e354";
    roles = [
      "etcd"
      "haproxy"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
