# Role set haproxy of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "83ec8f52a98b05e37c47145d1dc884cb23c003752ab4e7cd114e86e09108860e";
    roles = [
      "haproxy"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
