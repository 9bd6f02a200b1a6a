# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "d28ad2159c10c314cb7da367eed86bbe2340ba213b7dc8c771873b362531cfa7";
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
