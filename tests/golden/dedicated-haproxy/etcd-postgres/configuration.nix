# Role set etcd-postgres of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "4e854111389828456e7417235acce863a2357782e8d011c160ccba033575c727";
    roles = [
      "etcd"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
