# Role set haproxy of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "87207d4c13cd4d79d4b343058d4caca2658301f8d31592f683601effca91b695";
    roles = [
      "haproxy"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
