# Role set etcd-postgres of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "6956568d016ad3d31445aaeb216a9d81f6339e9e8c49d1c04db1cba886916b1a";
    roles = [
      "etcd"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
