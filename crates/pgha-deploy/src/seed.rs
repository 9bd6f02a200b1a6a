//! A node's seed: its identity and secrets, as one archive that the node unpacks into `/run/pgha`.

use std::collections::BTreeMap;
use std::io::Read;

use pgha_core::cluster::{Node, Role};
use pgha_core::digest::{Digest, Hasher};
use pgha_core::render::{Rendered, Seed};
use pgha_core::service::{self, Certificate, owner_of};
use serde_json::json;
use zeroize::Zeroizing;

use crate::declare;
use crate::secrets::{self, Secrets};

/// What only the very first start of a cluster reads: its dynamic configuration, and what pgha needs in PostgreSQL. The seed's digest
/// leaves these files out, because a changed parameter must not look like a changed node.
const BOOTSTRAP: [&str; 2] = ["patroni.d/40-bootstrap.yml", "bootstrap.sql"];

/// Patroni adds the connection parameters.
const POST_BOOTSTRAP: &str =
    "/etc/pgha/bin/psql -XqAt -v ON_ERROR_STOP=1 -o /dev/null -f /run/pgha/bootstrap.sql";

/// Where Patroni's own passwords are.
pub(crate) const PATRONI_SECRETS: &str = "patroni.d/30-secrets.yml";

struct Entry {
    content: Zeroizing<Vec<u8>>,
    secret: bool,
}

/// Allows the node to format a blank disk. Only a newly created server gets it, so the digest
/// leaves it out, too.
const NEW_VOLUME: &str = "new-volume";

/// How long that permission lasts. User data stays with its server for life. A volume that was
/// emptied later must not be taken for a new one.
const NEW_VOLUME_SECONDS: i64 = 24 * 3600;

/// What a node may do with a blank disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlankDisk {
    /// Refuse to start: its data should be there.
    Refuse,
    /// Format it, for 24 hours from now.
    Format,
}

/// Digest of the seed of one node. It covers everything except what only the node's first start
/// reads.
pub fn digest(rendered: &Rendered, node: &Node, secrets: &Secrets) -> Digest {
    let mut hasher = Hasher::default();
    let entries = entries(rendered, &rendered.seeds[&node.name], node, secrets);
    for (path, entry) in entries.iter().filter(|(path, _)| !BOOTSTRAP.contains(&path.as_str())) {
        hasher.part(path.as_bytes()).part(&entry.content);
    }
    hasher.finish()
}

/// When the first certificate of a packed seed expires, in seconds since 1970.
///
/// # Errors
/// When it is no seed.
pub(crate) fn certificates_end(packed: &[u8]) -> std::io::Result<Option<i64>> {
    let mut end = None;
    for entry in tar::Archive::new(zstd::Decoder::new(packed)?).entries()? {
        let mut entry = entry?;
        let extension = entry.path()?.extension().map(ToOwned::to_owned);
        if extension.is_some_and(|extension| extension == "crt" || extension == "pem") {
            let mut pem = Zeroizing::new(Vec::new());
            entry.read_to_end(&mut pem)?;
            end = end.into_iter().chain(secrets::first_end(&pem)).min();
        }
    }
    Ok(end)
}

/// The seed of one node, ready for delivery: tar, compressed with zstd.
///
/// # Errors
/// When the archive cannot be written. Only a lack of memory causes that.
pub fn pack(
    rendered: &Rendered,
    node: &Node,
    secrets: &Secrets,
    blank: BlankDisk,
) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut entries = entries(rendered, &rendered.seeds[&node.name], node, secrets);
    if blank == BlankDisk::Format {
        let until = jiff::Timestamp::now().as_second() + NEW_VOLUME_SECONDS;
        let content = Zeroizing::new(format!("{until}\n").into_bytes());
        entries.insert(NEW_VOLUME.to_owned(), Entry { content, secret: false });
    }
    Ok(Zeroizing::new(archive(&entries)?))
}

fn entries(
    rendered: &Rendered,
    seed: &Seed,
    node: &Node,
    secrets: &Secrets,
) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    let mut add = |path: &str, content: String, secret: bool| {
        entries.insert(
            path.to_owned(),
            Entry { content: Zeroizing::new(content.into_bytes()), secret },
        );
    };
    for (path, content) in &seed.files {
        add(path, content.clone(), false);
    }
    let file = |name: &str| secrets.file(name).expose().to_owned();
    let own = |name: &str| file(&format!("nodes/{}/{name}", node.name));
    add("tls/ca.crt", file("ca.crt"), false);
    add("ssh/ssh_host_ed25519_key", own("ssh_host_ed25519_key"), true);
    add("ssh/authorized_keys", file("ssh/operator.pub"), false);
    for Certificate { name, authority, in_one, .. } in service::certificates(&node.role_set) {
        let (certificate, key) = (own(&format!("{name}.crt")), own(&format!("{name}.key")));
        if *in_one {
            add(&format!("tls/{name}.pem"), certificate + &key, true);
        } else {
            add(&format!("tls/{name}.crt"), certificate, false);
            add(&format!("tls/{name}.key"), key, true);
        }
        let trusted = format!("{}.crt", authority.file());
        add(&format!("tls/{trusted}"), file(&trusted), false);
    }
    if node.role_set.has(Role::Postgres) {
        add(PATRONI_SECRETS, format!("{:#}\n", patroni_secrets(secrets)), true);
        let [configuration, script] = BOOTSTRAP;
        let first = json!({ "dcs": rendered.dynamic, "post_bootstrap": POST_BOOTSTRAP });
        add(configuration, format!("{:#}\n", json!({ "bootstrap": first })), true);
        add(script, declare::own(secrets), true);
    }
    if node.role_set.has(Role::Haproxy) {
        add(
            "haproxy.env",
            format!("HAPROXY_STATS_PASSWORD={}\n", file("passwords/haproxy-stats")),
            true,
        );
    }
    entries
}

fn patroni_secrets(secrets: &Secrets) -> serde_json::Value {
    let password = secrets.file("passwords/rest-api").expose();
    let rest = json!({ "authentication": { "username": "pgha", "password": password } });
    json!({ "restapi": rest, "ctl": rest })
}

fn archive(entries: &BTreeMap<String, Entry>) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for dir in ["tls", "ssh", "patroni.d"] {
        let mut header = header(0o755, 0, 0);
        header.set_entry_type(tar::EntryType::Directory);
        archive.append_data(&mut header, format!("{dir}/"), std::io::empty())?;
    }
    for (path, entry) in entries {
        let owner = owner_of(path).unwrap_or(0);
        let mut header =
            header(if entry.secret { 0o400 } else { 0o444 }, owner, entry.content.len() as u64);
        archive.append_data(&mut header, path, entry.content.as_slice())?;
    }
    let tar = Zeroizing::new(archive.into_inner()?);
    zstd::encode_all(tar.as_slice(), 3)
}

fn header(mode: u32, owner: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(owner.into());
    header.set_gid(owner.into());
    header.set_size(size);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use pgha_core::Cluster;
    use pgha_core::render;

    use super::*;

    /// A node of every role set.
    const FILE: &str = r#"
schema = 1
cluster.name = "sets"
node = [
  { name = "a", address = "10.0.0.11", roles = ["etcd"] },
  { name = "b", address = "10.0.0.12", roles = ["etcd", "postgres"] },
  { name = "c", address = "10.0.0.13", roles = ["etcd", "haproxy"] },
  { name = "d", address = "10.0.0.14", roles = ["postgres"] },
  { name = "e", address = "10.0.0.15", roles = ["postgres", "haproxy"] },
  { name = "f", address = "10.0.0.16", roles = ["haproxy"] },
]
"#;

    #[test]
    fn a_seed_has_what_its_node_refuses_to_start_without() {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = Secrets::prepare(&dir.path().join("s"), &cluster, &[]).expect("secrets");
        let rendered = render::render(&cluster).expect("files");
        for node in &cluster.nodes {
            let contract = &rendered.trees[&node.role_set].0["etc/pgha/contract.json"].content;
            let contract: serde_json::Value = serde_json::from_str(contract).expect("JSON");
            let entries = entries(&rendered, &rendered.seeds[&node.name], node, &secrets);
            for file in contract["seed_files"].as_array().expect("files") {
                let path = file.as_str().expect("a path");
                assert!(entries.contains_key(path), "{}: {path}", node.name);
            }
        }
    }
}
