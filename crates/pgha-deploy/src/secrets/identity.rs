//! Which cluster the servers belong to. Two clusters may have the same name, but a secrets
//! directory is made only once.

use std::path::Path;

use pgha_core::Digest;
use pgha_platform::{Server, files};

use super::{Secrets, SecretsError};

/// Tells a cluster from others of the same name, from its first run on and forever: the digest of its first authority. An older pgha has
/// not written it down.
const IDENTITY: &str = "identity";
const AUTHORITY: &str = "ca.crt";

impl Secrets {
    /// What tells this cluster from others of the same name.
    pub fn identity(&self) -> Digest {
        Digest::from(self.file(IDENTITY).expose().trim().to_owned())
    }

    /// Notes the identity, before the authority can be replaced.
    pub(super) fn ensure_identity(&mut self) -> Result<(), SecretsError> {
        let Some(authority) = self.files.get(AUTHORITY) else { return Ok(()) };
        let identity = digest(authority.expose());
        self.ensure_file(IDENTITY, || Ok(format!("{}\n", identity.as_str())))
    }

    /// Where the secrets are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Fails when the secrets in `dir` belong to a cluster with another name. Also fails when one of
/// `servers` was made by another cluster of the same name, whose secrets are elsewhere.
///
/// A server of an older pgha does not say who made it and counts as ours. If `dir` is lost, the servers count as another cluster's only
/// while the secrets that made them are still in place. So a cluster whose secrets are gone can be destroyed.
///
/// # Errors
/// [`SecretsError::Foreign`], [`SecretsError::Anothers`].
pub fn not_anothers(servers: &[Server], dir: &Path, cluster: &str) -> Result<(), SecretsError> {
    belongs_to(dir, cluster)?;
    let own = identity_in(dir);
    for server in servers {
        let Server { name, address, running, labels, owner } = server;
        let known = pgha_core::inventory::Server::read(name, *address, *running, labels, 0);
        let Some(identity) = known.identity else { continue };
        let is_anothers = match &own {
            Some(own) => *own != identity,
            None => owner.as_deref().and_then(identity_in).is_some_and(|found| found == identity),
        };
        if is_anothers {
            let (cluster, own) = (cluster.to_owned(), dir.to_owned());
            let secrets = owner.clone().unwrap_or_default();
            return Err(SecretsError::Anothers { cluster, secrets, own });
        }
    }
    Ok(())
}

/// Checks that the directory was made for this cluster.
pub(super) fn belongs_to(dir: &Path, cluster: &str) -> Result<(), SecretsError> {
    match files::read(&dir.join("cluster")) {
        Ok(found) if found.trim() != cluster => Err(SecretsError::Foreign {
            dir: dir.to_owned(),
            found: found.trim().to_owned(),
            wanted: cluster.to_owned(),
        }),
        Err(error) if !error.is_missing() => Err(error.into()),
        _ => Ok(()),
    }
}

fn identity_in(dir: &Path) -> Option<Digest> {
    let kept = files::read(&dir.join(IDENTITY)).map(|text| Digest::from(text.trim().to_owned()));
    kept.or_else(|_| files::read(&dir.join(AUTHORITY)).map(|text| digest(&text))).ok()
}

fn digest(text: &str) -> Digest {
    Digest::of(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use pgha_core::Cluster;
    use pgha_core::inventory::{Labels, Server as Inventoried};

    use super::*;

    const FILE: &str = include_str!("../../../../tests/clusters/minimal.toml");

    fn made(dir: &Path) -> Secrets {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let secrets = Secrets::prepare(dir, &cluster, &[]).expect("secrets");
        secrets.write().expect("written");
        secrets
    }

    fn server(identity: Option<Digest>, owner: &Path) -> [Server; 1] {
        let (name, address, owner) = ("node-1", [10, 0, 0, 1].into(), Some(owner.to_owned()));
        let blank = Inventoried::read(name, address, true, &Labels::new(), 0);
        let labels = Inventoried { identity, ..blank }.labels();
        [Server { name: name.to_owned(), address, running: true, labels, owner }]
    }

    #[test]
    fn servers_are_anothers_only_if_other_secrets_made_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let (first, _) = (made(&theirs), made(&ours));
        let servers = server(Some(first.identity()), &theirs);
        let says = |dir: &Path| not_anothers(&servers, dir, "minimal").is_ok();
        assert!(says(&theirs) && !says(&ours), "a name was given twice");
        let moved = dir.path().join("moved");
        std::fs::rename(&theirs, &moved).expect("moved");
        assert!(says(&moved) && !says(&ours), "secrets may be moved");
        assert!(says(&theirs), "secrets are lost, and nobody else has them");
        std::fs::rename(&moved, &theirs).expect("back");
        assert!(!says(&dir.path().join("never-made")), "a second cluster before its first run");
        assert!(not_anothers(&server(None, &theirs), &ours, "minimal").is_ok(), "of an older pgha");
        assert!(not_anothers(&[], &ours, "other").is_err(), "secrets of another name");
    }
}
