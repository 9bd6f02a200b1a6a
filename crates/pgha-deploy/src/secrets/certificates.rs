//! Which certificates a cluster has, and the names each is valid for.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use pgha_core::Cluster;
use pgha_core::cluster::{Node, Role};
use pgha_core::service::{self, Subject, Usage};
use rcgen::{KeyPair, PublicKeyData, SanType};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;

use super::authority;
use super::trust::{AUTHORITIES, Authority, ensure_authority, failed, first};
use super::{Secrets, SecretsError};

/// Days before it expires at which a certificate is renewed. The next `apply` then brings it to the
/// nodes.
pub(crate) const RENEW_DAYS: i64 = 120;

/// Makes, in memory, the two authorities, and every certificate that is missing or no longer fits.
///
/// etcd has an authority of its own: a certificate of the services must not open the store that
/// holds the leader lock.
pub(super) fn ensure(secrets: &mut Secrets, cluster: &Cluster) -> Result<(), SecretsError> {
    let [services, etcd] = AUTHORITIES;
    let services = ensure_authority(secrets, services, &format!("pgha {} services", cluster.name))?;
    let etcd = ensure_authority(secrets, etcd, &format!("pgha {} etcd", cluster.name))?;
    ensure_certificate(secrets, &services, "operator", "pgha operator", &[], Usage::Call)?;
    ensure_certificate(secrets, &etcd, "etcd-operator", "pgha operator", &[], Usage::Call)?;
    for node in &cluster.nodes {
        for certificate in service::certificates(&node.role_set) {
            let issuer = match certificate.authority {
                service::Authority::Services => &services,
                service::Authority::Etcd => &etcd,
            };
            let (file, usage) =
                (format!("nodes/{}/{}", node.name, certificate.name), certificate.usage);
            let (name, names) = subject(cluster, node, certificate.subject);
            ensure_certificate(secrets, issuer, &file, name, &names, usage)?;
        }
    }
    Ok(())
}

/// The name of a certificate, and the names it is valid for.
fn subject<'n>(cluster: &Cluster, node: &'n Node, subject: Subject) -> (&'n str, Vec<SanType>) {
    match subject {
        Subject::Node => (&node.name, names(&[node])),
        Subject::NodeAndRouters => {
            let routes = |n: &&Node| n.role_set.has(Role::Haproxy) || n.name == node.name;
            (&node.name, names(&cluster.nodes.iter().filter(routes).collect::<Vec<_>>()))
        }
        Subject::Role(role) => (role, Vec::new()),
    }
}

/// When the first of these certificates, PEM, expires, in seconds since 1970.
pub(crate) fn first_end(pem: &[u8]) -> Option<i64> {
    let certificates = Pem::iter_from_buffer(pem).flatten();
    let end = |pem: Pem| Some(pem.parse_x509().ok()?.validity().not_after.timestamp());
    certificates.filter_map(end).min()
}

fn names(nodes: &[&Node]) -> Vec<SanType> {
    let addresses = nodes.iter().map(|node| node.address).chain([Ipv4Addr::LOCALHOST]);
    let host_names = nodes.iter().map(|node| node.name.as_str()).chain(["localhost"]);
    let dns = host_names.filter_map(|name| name.try_into().ok().map(SanType::DnsName));
    dns.chain(addresses.map(|address| SanType::IpAddress(IpAddr::V4(address)))).collect()
}

/// Makes or renews a certificate, and keeps its key. With a new key, an interruption between the
/// two files could leave a pair that does not match.
fn ensure_certificate(
    secrets: &mut Secrets,
    issuer: &Authority,
    file: &str,
    name: &str,
    names: &[SanType],
    usage: Usage,
) -> Result<(), SecretsError> {
    let (certificate, key) = (format!("{file}.crt"), format!("{file}.key"));
    let had_key = secrets.files.contains_key(&key);
    secrets.ensure_file(&key, || authority::key().map_err(failed(file)))?;
    let pair = KeyPair::from_pem(secrets.file(&key).expose()).map_err(failed(file))?;
    let fits = had_key
        && secrets
            .files
            .get(&certificate)
            .is_some_and(|pem| fits(pem.expose(), names, usage, &pair, issuer).unwrap_or(false));
    if fits {
        return Ok(());
    }
    let Some(signs) = &issuer.signs else {
        return Err(secrets.lost(&format!("{}.key", issuer.file)));
    };
    let signed = authority::sign(signs, &pair, name, names, usage).map_err(failed(file))?;
    secrets.put(&certificate, signed);
    Ok(())
}

/// Whether a certificate is valid for exactly these names, for this use and for long enough. It must also belong to `key` and be signed by
/// the authority that signs.
fn fits(
    pem: &str,
    names: &[SanType],
    usage: Usage,
    key: &KeyPair,
    issuer: &Authority,
) -> Option<bool> {
    let pem = first(pem)?;
    let certificate = pem.parse_x509().ok()?;
    let own = certificate.public_key().raw == key.subject_public_key_info();
    // Without a signing key there is no way to make a better one.
    let Some(signs) = &issuer.signs else { return Some(own) };
    let issuer = first(&signs.certificate)?;
    let issuer = issuer.parse_x509().ok()?;
    let left = certificate.validity().time_to_expiration().map_or(0, |left| left.whole_days());
    let has = certificate.subject_alternative_name().ok().flatten();
    let has = has.map_or(BTreeSet::new(), |extension| {
        extension.value.general_names.iter().map(said).collect()
    });
    let may = certificate.extended_key_usage().ok().flatten()?.value;
    Some(
        left >= RENEW_DAYS
            && has == names.iter().map(wanted).collect()
            && (may.server_auth, may.client_auth) == (usage.serves(), usage.calls())
            && own
            && signer(&certificate)? == identifier(&issuer)?,
    )
}

/// The key identifier of who signed it (RFC 5280, 4.2.1.1).
fn signer<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(signer) => {
            signer.key_identifier.as_ref().map(|id| id.0)
        }
        _ => None,
    })
}

/// The identifier of its own key (RFC 5280, 4.2.1.2).
fn identifier<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

fn wanted(name: &SanType) -> String {
    match name {
        SanType::IpAddress(address) => address.to_string(),
        SanType::DnsName(name) => name.to_string(),
        other => format!("{other:?}"),
    }
}

fn said(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::IPAddress([a, b, c, d]) => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../../tests/clusters/minimal.toml");

    #[test]
    fn a_certificate_of_another_key_or_authority_is_signed_anew_and_a_good_one_never() {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let dir = tempfile::tempdir().expect("a directory");
        let certificate = |name: &str| {
            let secrets = Secrets::prepare(&dir.path().join(name), &cluster, &[]).expect("secrets");
            secrets.write().expect("written");
            secrets.file("nodes/node-1/etcd.crt").expose().to_owned()
        };
        let (mine, other) = (certificate("mine"), certificate("other"));
        assert_eq!(certificate("mine"), mine);
        let take = |file: &str| {
            std::fs::copy(dir.path().join("other").join(file), dir.path().join("mine").join(file))
                .expect("a copy")
        };
        take("nodes/node-1/etcd.key");
        let signed = certificate("mine");
        assert_ne!(signed, mine, "the key is another one");
        take("nodes/node-1/etcd.crt");
        assert_ne!(certificate("mine"), other, "the authority is another one");
    }
}
