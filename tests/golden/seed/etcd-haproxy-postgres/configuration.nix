# Role set etcd-haproxy-postgres of cluster postgres-cluster, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "7c84b68af71cb33750b21cadb70b05757eac50649ff13ef5d774b2e45e5bc308";
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
