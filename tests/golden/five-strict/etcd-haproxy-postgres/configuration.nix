# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "b3ff6c8b4b13151e41fc519455e4c33e3985847ef013ef72e7459e083e1ecda9";
    roles = [
      "etcd"
      "haproxy"
      "postgres"
    ];
    postgresql.major = 17;
    postgresql.extensions = [
      "pg_trgm"
      "pgcrypto"
    ];
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
