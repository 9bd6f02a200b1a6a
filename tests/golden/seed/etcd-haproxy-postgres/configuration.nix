# Role set etcd-haproxy-postgres of cluster postgres-cluster, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "e965eb11b5ae0f5abdb411f496ebb6b94de024d6c09f67afcf8674ad9bfc08f3";
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
