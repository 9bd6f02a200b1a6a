# Role set etcd-haproxy-postgres of cluster vm, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "e0d40a13dd9b5dca5838b8c7ae41a321a674c859244fc467e8a74b5af2ade008";
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
