# Role set haproxy of cluster dedicated, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "3f4e07e1f9b527c8ab04b09420b72f38bc0faa848d59cd76bf76ebc2f02bdd93";
    roles = [
      "haproxy"
    ];
    postgresql.major = 17;
  };
  # Defaults that follow the release a system was first installed with. An image keeps no state, so they follow the pin.
  system.stateVersion = "26.05";
}
