# Role set etcd-haproxy-postgres of cluster minimal, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "a662bf6818c64217e8b709aa9876bb721db5c85331dcac54f9d5f0241a2fdb7f";
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
