//! Whose servers there are. A name can be given twice, a secrets directory is made once.

use std::path::{Path, PathBuf};

use pgha_core::Digest;
use pgha_platform::{Server, files};

use super::{Secrets, SecretsError};
use crate::label;

/// Every secrets directory has an authority of its own, from its first run on and for ever.
const AUTHORITY: &str = "ca.crt";

impl Secrets {
    /// What tells this cluster from others of the same name.
    pub fn identity(&self) -> Digest {
        digest(self.file(AUTHORITY).expose())
    }

    /// Where the secrets are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Fails when the secrets in `dir` are those of a cluster with another name, and when one of
/// `servers` was made by another cluster of the same name, whose secrets are elsewhere.
///
/// A server of an older pgha does not say who made it: it is ours. If `dir` is lost, the servers are
/// another's only while the secrets that made them are where they were: a cluster whose secrets are
/// gone can be destroyed.
///
/// # Errors
/// [`SecretsError::Foreign`], [`SecretsError::Anothers`].
pub fn not_anothers(servers: &[Server], dir: &Path, cluster: &str) -> Result<(), SecretsError> {
    belongs_to(dir, cluster)?;
    let own = identity_in(dir);
    for server in servers {
        let Some(identity) = server.labels.get(label::IDENTITY) else { continue };
        let theirs = PathBuf::from(server.labels.get(label::SECRETS).cloned().unwrap_or_default());
        let is_anothers = match &own {
            Some(own) => own.as_str() != identity,
            None => identity_in(&theirs).is_some_and(|found| found.as_str() == identity),
        };
        if is_anothers {
            let (cluster, own) = (cluster.to_owned(), dir.to_owned());
            return Err(SecretsError::Anothers { cluster, secrets: theirs, own });
        }
    }
    Ok(())
}

/// The directory says for which cluster it was made.
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
    files::read(&dir.join(AUTHORITY)).ok().map(|text| digest(&text))
}

fn digest(text: &str) -> Digest {
    Digest::of(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pgha_core::Cluster;

    use super::*;

    const FILE: &str = include_str!("../../../../tests/clusters/minimal.toml");

    fn made(dir: &Path) -> Secrets {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let secrets = Secrets::prepare(dir, &cluster, &[]).expect("secrets");
        secrets.write().expect("written");
        secrets
    }

    fn server(labels: &[(&str, String)]) -> [Server; 1] {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let labels = labels.collect::<BTreeMap<_, _>>();
        let (name, address) = ("node-1".to_owned(), [10, 0, 0, 1].into());
        [Server { name, address, running: true, labels }]
    }

    #[test]
    fn servers_are_anothers_only_if_other_secrets_made_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let (first, _) = (made(&theirs), made(&ours));
        let at = |dir: &Path| (label::SECRETS, dir.display().to_string());
        let first = (label::IDENTITY, first.identity().to_string());
        let servers = server(&[first.clone(), at(&theirs)]);
        let says = |dir: &Path| not_anothers(&servers, dir, "minimal").is_ok();
        assert!(says(&theirs) && !says(&ours), "a name was given twice");
        let moved = dir.path().join("moved");
        std::fs::rename(&theirs, &moved).expect("moved");
        assert!(says(&moved) && !says(&ours), "secrets may be moved");
        assert!(says(&theirs), "secrets are lost, and nobody else has them");
        std::fs::rename(&moved, &theirs).expect("back");
        assert!(!says(&dir.path().join("never-made")), "a second cluster before its first run");
        assert!(not_anothers(&server(&[]), &ours, "minimal").is_ok(), "of an older pgha");
        assert!(not_anothers(&[], &ours, "other").is_err(), "secrets of another name");
    }
}
