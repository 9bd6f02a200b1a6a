# Role set etcd-haproxy-postgres of cluster vm, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "f1855ffebee0045ccb3adaeb6496949b3c4e393934b17d106a98ef3b44a5d824";
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
