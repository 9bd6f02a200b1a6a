# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "435f4c7794433d8fe0f0f691b01d03f36135d4ba6e69a1d3e62bd34bb0288566";
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
