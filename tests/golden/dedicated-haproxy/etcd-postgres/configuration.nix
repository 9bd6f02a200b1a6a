# Role set etcd-postgres of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "042905d3198dd6e4d9b6413d93e60a7b95f782ffc0b48be65ea12d9059ac3bac";
    roles = [
      "etcd"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
