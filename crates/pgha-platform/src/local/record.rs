//! What the local provider remembers of each server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{self, FileError};
use crate::provider::{ImageFile, ProviderError, ServerRequest};

pub(super) type Labels = BTreeMap<String, String>;

/// One server, as written to `record.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) address: Ipv4Addr,
    pub(super) package_root: ImageFile,
    pub(super) configuration: ImageFile,
    /// Name of the seed's file beside the record. A new seed gets a new name, so that record and
    /// seed change together.
    pub(super) seed: String,
    pub(super) labels: Labels,
    /// Where the secrets of its cluster are.
    #[serde(default)]
    pub(super) owner: Option<PathBuf>,
}

impl Record {
    /// What it boots.
    pub(super) fn files(&self) -> [&ImageFile; 2] {
        [&self.package_root, &self.configuration]
    }
}

/// Beginning of the name of a directory that is being deleted.
const DELETED: &str = "deleted-";
/// Beginning of the name of a seed.
const SEED: &str = "seed-";

/// The records of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub(super) dir: PathBuf,
    /// Where the secrets of the cluster are.
    owner: PathBuf,
}

impl Records {
    pub(super) fn new(dir: PathBuf, owner: PathBuf) -> Self {
        Self { dir, owner }
    }

    /// Directory of one server.
    pub(super) fn node(&self, name: &str) -> PathBuf {
        self.dir.join("nodes").join(name)
    }

    /// Names of the servers that were created completely.
    pub(super) fn names(&self) -> Result<Vec<String>, FileError> {
        let complete = list(&self.dir.join("nodes"))?.into_iter();
        let complete = complete.filter(|name| self.node(name).join("record.json").exists());
        Ok(complete.collect())
    }

    /// Directories that belong to none of `names`, the complete servers: left by an interrupted
    /// creation or deletion, or made by another program.
    pub(super) fn without_record(&self, names: &[String]) -> Result<Vec<PathBuf>, FileError> {
        let nodes = list(&self.dir.join("nodes"))?.into_iter();
        let nodes = nodes.filter(|name| !names.contains(name)).map(|name| self.node(&name));
        let deleted = list(&self.dir)?.into_iter().filter(|name| name.starts_with(DELETED));
        Ok(nodes.chain(deleted.map(|name| self.dir.join(name))).collect())
    }

    pub(super) fn read(&self, name: &str) -> Result<Record, ProviderError> {
        let path = self.node(name).join("record.json");
        let text = files::read(&path).map_err(|error| match error.is_missing() {
            true => ProviderError::NoServer(name.to_owned()),
            false => error.into(),
        })?;
        let record = serde_json::from_str(&text);
        let mut record: Record = record
            .map_err(|source| ProviderError::Record { path: path.display().to_string(), source })?;
        // An older pgha had it among the labels.
        let labelled = || record.labels.get("secrets").map(PathBuf::from);
        record.owner = record.owner.or_else(labelled);
        Ok(record)
    }

    pub(super) fn write(&self, name: &str, record: &Record) -> Result<(), ProviderError> {
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        Ok(files::write(&self.node(name).join("record.json"), text.as_bytes(), 0o600)?)
    }

    /// Makes the directory, the marked data volume, the seed, and last the record. Its presence
    /// means that the server is complete.
    pub(super) fn create(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let dir = self.node(&request.name);
        if dir.join("record.json").exists() {
            return Ok(());
        }
        // The remains of an interrupted creation are replaced. A volume that was in use has an
        // owner.
        if dir.join("data/owner.json").exists() {
            return Err(ProviderError::Orphaned { dir });
        }
        files::remove(&dir)?;
        files::make_dir(&dir, 0o700)?;
        files::make_dir(&dir.join("data"), 0o755)?;
        files::write(&dir.join("data/.pgha-new"), request.volume.as_bytes(), 0o644)?;
        self.give(request)
    }

    /// Gives a server what it boots from, and its labels. Removes the seed it had before.
    pub(super) fn give(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let dir = self.node(&request.name);
        let hash = Sha256::digest(request.boot.seed.as_slice());
        let seed = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
        let seed = format!("{SEED}{seed}");
        files::write(&dir.join(&seed), &request.boot.seed, 0o600)?;
        let record = Record {
            address: request.address,
            package_root: request.boot.package_root.clone(),
            configuration: request.boot.configuration.clone(),
            seed: seed.clone(),
            labels: request.labels.clone(),
            owner: Some(self.owner.clone()),
        };
        self.write(&request.name, &record)?;
        let mut old =
            list(&dir)?.into_iter().filter(|name| name.starts_with(SEED) && *name != seed);
        Ok(old.try_for_each(|name| files::remove(&dir.join(name)))?)
    }

    /// Renames the directory, then deletes it: a half-deleted server must look neither like a
    /// server nor like the data of a lost one.
    pub(super) fn delete(&self, name: &str) -> Result<(), FileError> {
        let (node, gone) = (self.node(name), self.dir.join(format!("{DELETED}{name}")));
        files::remove(&gone)?;
        if node.exists() {
            std::fs::rename(&node, &gone).map_err(FileError::at("remove", &node))?;
        }
        files::remove(&gone)
    }

    /// Removes what interrupted deletions have left.
    pub(super) fn sweep(&self) -> Result<(), FileError> {
        let mut left = list(&self.dir)?.into_iter().filter(|name| name.starts_with(DELETED));
        left.try_for_each(|name| files::remove(&self.dir.join(name)))
    }
}

/// Sorted names of what is in a directory; none if it does not exist.
fn list(dir: &Path) -> Result<Vec<String>, FileError> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(FileError::at("read", dir))?,
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names = names.collect::<Vec<_>>();
    names.sort();
    Ok(names)
}
