# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "5aeb315b1e0af01113f690f5749fd304e25844b320db9c62fc3e22a1a5939c65";
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
