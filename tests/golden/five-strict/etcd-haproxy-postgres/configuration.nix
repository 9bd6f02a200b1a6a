# Role set etcd-haproxy-postgres of cluster five, written by pgha. What the daemons read is in ./etc.
{
  pgha = {
    tree = ./etc;
    treeDigest = "862f8ecd6d61ae402316ff72cfbb7cf4d103ecf3bb6f75be3f6aaa38e55bbc62";
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
