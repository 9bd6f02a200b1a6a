# Role set etcd-postgres of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "6dd665ee836f9f6e6bcb311dcb2244dccb645c0f0b29e7ad15e0b5af9f59b4fc";
    roles = [
      "etcd"
      "postgres"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
