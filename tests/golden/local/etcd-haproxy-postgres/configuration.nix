# Role set etcd-haproxy-postgres of cluster local, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "957148be3617ccbf734f381208ed2271ac7e0e6e9e0ea6b27f958391f65c9adf";
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
