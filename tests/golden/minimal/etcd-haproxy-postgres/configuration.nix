# Role set etcd-haproxy-postgres of cluster minimal, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "d44aeb62d7d772a183e7eafbd8fde1c3a5f47cde3aaef3678df7281bbdcf9fa3";
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
