# Role set etcd-haproxy-postgres of cluster vm, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "5e3850f91f3d3a97cb06743a5f7d94143fdfca1c275d7baffa4b2de66a1ee1ec";
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
