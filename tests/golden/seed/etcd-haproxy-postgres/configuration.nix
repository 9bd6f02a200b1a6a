# Role set etcd-haproxy-postgres of cluster postgres-cluster, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "2db746d6b4a3e569455d4ff499f2e15e2f105800ef72d9eb6ab8408ae32f6d9a";
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
