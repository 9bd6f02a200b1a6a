//! Which certificates a cluster has, and the names each is valid for.

use std::net::{IpAddr, Ipv4Addr};

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};
use rcgen::SanType;

use super::authority::{self, Pair};
use super::{Secrets, SecretsError};

/// Makes the two authorities and every certificate that is missing.
///
/// etcd has an authority of its own: a certificate of the services must not open the store that holds the leader lock.
pub(super) fn ensure(secrets: &mut Secrets, cluster: &Cluster) -> Result<(), SecretsError> {
    let services = ensure_authority(secrets, "ca", &format!("pgha {} services", cluster.name))?;
    let etcd = ensure_authority(secrets, "etcd-ca", &format!("pgha {} etcd", cluster.name))?;
    ensure_certificate(secrets, &services, "operator", "pgha operator", &[])?;
    ensure_certificate(secrets, &etcd, "etcd-operator", "pgha operator", &[])?;
    for node in &cluster.nodes {
        let own = names(&[node]);
        let file = |what: &str| format!("nodes/{}/{what}", node.name);
        if node.role_set.has(Role::Etcd) {
            ensure_certificate(secrets, &etcd, &file("etcd"), &node.name, &own)?;
        }
        if node.role_set.has(Role::Postgres) {
            ensure_certificate(secrets, &services, &file("postgres"), &node.name, &own)?;
            ensure_certificate(secrets, &etcd, &file("patroni-etcd"), &node.name, &own)?;
            // A client names the HAProxy it connects to, but TLS ends at whichever PgBouncer is behind it.
            let endpoints = cluster.nodes.iter().filter(|n| n.role_set.has(Role::Haproxy) || n.name == node.name).collect::<Vec<_>>();
            ensure_certificate(secrets, &services, &file("pgbouncer"), &node.name, &names(&endpoints))?;
        }
        if node.role_set.has(Role::Haproxy) {
            ensure_certificate(secrets, &services, &file("haproxy"), &node.name, &own)?;
        }
    }
    Ok(())
}

fn names(nodes: &[&Node]) -> Vec<SanType> {
    let addresses = nodes.iter().map(|node| node.address).chain([Ipv4Addr::LOCALHOST]);
    let host_names = nodes.iter().map(|node| node.name.as_str()).chain(["localhost"]);
    let dns = host_names.filter_map(|name| name.try_into().ok().map(SanType::DnsName));
    dns.chain(addresses.map(|address| SanType::IpAddress(IpAddr::V4(address)))).collect()
}

fn ensure_authority(secrets: &mut Secrets, file: &str, name: &str) -> Result<Pair, SecretsError> {
    ensure_pair(secrets, file, || authority::authority(name))?;
    Ok(Pair {
        certificate: secrets.file(&format!("{file}.crt")).expose().to_owned(),
        key: secrets.file(&format!("{file}.key")).expose().to_owned(),
    })
}

fn ensure_certificate(secrets: &mut Secrets, issuer: &Pair, file: &str, name: &str, names: &[SanType]) -> Result<(), SecretsError> {
    ensure_pair(secrets, file, || authority::sign(issuer, name, names))
}

/// Key and certificate belong together, so both are made when either is missing.
fn ensure_pair(secrets: &mut Secrets, file: &str, make: impl FnOnce() -> Result<Pair, rcgen::Error>) -> Result<(), SecretsError> {
    let (certificate, key) = (format!("{file}.crt"), format!("{file}.key"));
    if secrets.files.contains_key(&certificate) && secrets.files.contains_key(&key) {
        return Ok(());
    }
    let pair = make().map_err(|source| SecretsError::Certificate { name: file.to_owned(), source })?;
    secrets.files.remove(&key);
    secrets.files.remove(&certificate);
    secrets.ensure_file(&key, || Ok(pair.key))?;
    secrets.ensure_file(&certificate, || Ok(pair.certificate))
}
