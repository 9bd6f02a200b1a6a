# Role set etcd-haproxy-postgres of cluster local, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "7e15250d391859fe28c7cd021c8b41450277c08938bcf10e3cbb414e0b5d0bf4";
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
