# Role set etcd-haproxy-postgres of cluster postgres-cluster, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "53b4240eadfee9e306b78671eaef63f71d5a2e3edc0a0a6e3fd680a7f0ca035c";
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
