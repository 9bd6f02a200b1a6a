# Role set etcd-haproxy-postgres of cluster local, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "2bf86ed50c53e2e9f1e5b8ae879ffa821c29f069c1aba4e5555f41c7a0fccf39";
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
