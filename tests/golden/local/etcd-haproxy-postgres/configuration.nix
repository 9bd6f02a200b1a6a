# Role set etcd-haproxy-postgres of cluster local, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "f0ae6045f03594b4dac7651ec246c59c3e0efcbec1c406d16cdd366e842adbd7";
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
