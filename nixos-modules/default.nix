# A pgha node. Import this and one rendered `configuration.nix`.
{
  imports = [
    ./options.nix
    ./files.nix
    ./node.nix
    ./ssh.nix
    ./etcd.nix
    ./patroni.nix
    ./haproxy.nix
    ./pgbouncer.nix
  ];
}
