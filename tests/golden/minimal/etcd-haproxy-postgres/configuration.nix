# Role set etcd-haproxy-postgres of cluster minimal, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "9dc49d812666e454ecc5934e99ae640143552f9eaa3b43a0d7796b625cd3e073";
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
