# Role set etcd-haproxy-postgres of cluster minimal, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "9bfcc4b4d05d4aaab5b2dc03cb6f4979d463e768589e8fba7bdbb6ba67badecb";
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
