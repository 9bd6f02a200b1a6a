# Role set haproxy of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "b764b3045a4409d0e5b83e3b56986c4b766870373b667913be9db6cd5bb6c1d0";
    roles = [
      "haproxy"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
