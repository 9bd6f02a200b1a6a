# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "ea1060ddf76dcb22b0ace14964b10eb3d28ffb1cc7e6f382671c392c5696cafa";
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
