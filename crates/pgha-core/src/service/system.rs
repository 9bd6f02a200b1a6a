//! What every node has: who it is, its firewall, SSH, and the data volume of those that keep data.

use super::{From, Limit, NOTHING, On, Open, Service, node_file};
use crate::cluster::{Cluster, Role, RoleSet};

const SSH: u16 = 22;

pub(super) const SERVICE: Service = Service {
    on: On::Every,
    units,
    ports: |_| vec![SSH],
    opens: |_| vec![Open { from: From::Operators, ports: vec![SSH] }],
    limits: |_| vec![Limit { ports: vec![SSH], most: 64, together: false }],
    templates: &[
        node_file!("etc/pgha/nftables.conf"),
        node_file!("etc/ssh/sshd_config.d/50-pgha.conf"),
        node_file!("etc/sysctl.d/50-pgha.conf"),
        node_file!("etc/tmpfiles.d/pgha.conf"),
        node_file!("etc/systemd/system/ssh.service.d/50-pgha.conf"),
        node_file!("etc/systemd/system/pgha-seed.service"),
        node_file!("etc/systemd/system/pgha-volume.service"),
        node_file!("etc/systemd/system/pgha-data.service"),
        node_file!("etc/systemd/system/pgha-firewall.service"),
    ],
    programs: &[
        node_file!("etc/pgha/lib/pgha-refuse"),
        node_file!("etc/pgha/lib/pgha-seed"),
        node_file!("etc/pgha/lib/pgha-volume"),
        node_file!("etc/pgha/lib/pgha-data"),
        node_file!("etc/pgha/lib/pgha-contract"),
    ],
    seed: &["identity.json", "tls/ca.crt", "ssh/ssh_host_ed25519_key", "ssh/authorized_keys"],
    packages: &[
        "systemd",
        "systemd-sysv",
        "openssh-server",
        "iproute2",
        "nftables",
        "curl",
        "jq",
        "zstd",
        "procps",
        // For real or virtual machines; containers never start them.
        "udev",
        "kmod",
        "e2fsprogs",
    ],
    told: &["systemd", "openssh-server", "libc6"],
    links: &[("kill", "/usr/bin/kill"), ("nft", "/usr/sbin/nft")],
    ..NOTHING
};

fn units(_: &Cluster, role_set: &RoleSet) -> Vec<String> {
    let every = ["pgha-firewall.service", "pgha-seed.service", "ssh.service"];
    let keeps_data = role_set.has(Role::Etcd) || role_set.has(Role::Postgres);
    let volume = ["pgha-volume.service", "pgha-data.service"].into_iter().filter(|_| keeps_data);
    every.into_iter().chain(volume).map(str::to_owned).collect()
}
