# Role set etcd-postgres of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "375d405415f813f2257d651d2d200831e6b80181c023e82a07cac832aa838680";
    roles = [
      "etcd"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
