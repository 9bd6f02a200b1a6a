# Role set haproxy of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "1f11bf66fae4d29c3dfb217a9318afe698e55327765aaf5d70890d5ca927de1e";
    roles = [
      "haproxy"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
