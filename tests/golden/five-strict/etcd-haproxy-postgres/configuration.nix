# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "24c8c114709fa5c5dfd26ec55fdfc5b4584ab7a2f672420d642c0de78af06385";
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
