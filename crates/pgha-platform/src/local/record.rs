//! What the local provider remembers of each server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{self, FileError};
use crate::label;
use crate::provider::{ImageFile, ProviderError, ServerRequest};

pub(super) type Labels = BTreeMap<String, String>;

/// One server, as written to `record.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) address: Ipv4Addr,
    #[serde(flatten)]
    pub(super) given: Boot,
    /// What the server had before.
    pub(super) previous: Option<Boot>,
}

impl Record {
    /// What there is to go back to once the server is given something else: what it has, unless
    /// that never proved itself.
    pub(super) fn kept(self) -> Option<Boot> {
        let becomes = label::becomes_previous(&self.given.labels, self.previous.is_some());
        if becomes { Some(self.given) } else { self.previous }
    }
}

/// What a server boots from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Boot {
    pub(super) package_root: ImageFile,
    pub(super) configuration: ImageFile,
    /// Name of the seed's file beside the record. A new seed gets a new name, so that record and
    /// seed change together.
    pub(super) seed: String,
    pub(super) labels: Labels,
}

/// Beginning of the name of what is being deleted.
const DELETED: &str = "deleted-";

/// The records of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Records {
    pub(super) dir: PathBuf,
}

impl Records {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self { dir }
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

    /// Directories of servers that are not among `names`, the complete ones: of an interrupted
    /// creation or deletion, or somebody else's.
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
        serde_json::from_str(&text)
            .map_err(|source| ProviderError::Record { path: path.display().to_string(), source })
    }

    pub(super) fn write(&self, name: &str, record: &Record) -> Result<(), ProviderError> {
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        Ok(files::write(&self.node(name).join("record.json"), text.as_bytes(), 0o600)?)
    }

    /// Makes the directory, the marked data volume, the seed and last the record, whose presence
    /// means that all is there.
    pub(super) fn create(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let dir = self.node(&request.name);
        if dir.join("record.json").exists() {
            return Ok(());
        }
        // What an interrupted creation left is begun anew. A volume that was in use has an owner.
        if dir.join("data/owner.json").exists() {
            return Err(ProviderError::Orphaned { dir });
        }
        files::remove(&dir)?;
        files::make_dir(&dir, 0o700)?;
        files::make_dir(&dir.join("data"), 0o755)?;
        files::write(&dir.join("data/.pgha-new"), request.volume.as_bytes(), 0o644)?;
        let given = self.give(request)?;
        self.write(&request.name, &Record { address: request.address, given, previous: None })
    }

    /// Writes the seed under a name of its own.
    fn give(&self, request: &ServerRequest) -> Result<Boot, FileError> {
        let hash = Sha256::digest(&request.seed);
        let seed = format!(
            "seed-{}",
            hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>()
        );
        files::write(&self.node(&request.name).join(&seed), &request.seed, 0o600)?;
        let (package_root, configuration) =
            (request.package_root.clone(), request.configuration.clone());
        Ok(Boot { package_root, configuration, seed, labels: request.labels.clone() })
    }

    /// Gives a server something else to boot from, and keeps what it had, unless that never proved
    /// itself: then what it had before that is still what there is to go back to. Repeated, it
    /// changes nothing more.
    pub(super) fn replace(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let record = self.read(&request.name)?;
        let mut given = self.give(request)?;
        given.labels = record
            .given
            .labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .chain(given.labels)
            .collect();
        let same = |name: &str| record.given.labels.get(name) == given.labels.get(name);
        let previous =
            if same(label::IMAGE) && same(label::SEED) { record.previous } else { record.kept() };
        self.write(&request.name, &Record { address: request.address, given, previous })
    }

    /// Gives a server what it had before, with more labels, and forgets what it had: that was bad,
    /// and a rollback must never lead to it.
    pub(super) fn revert(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        let record = self.read(name)?;
        let mut given =
            record.previous.ok_or_else(|| ProviderError::NoPrevious(name.to_owned()))?;
        given.labels.extend(labels.clone());
        self.write(name, &Record { address: record.address, given, previous: None })
    }

    /// Out of sight at once, then gone: half a deletion must look neither like a server nor like
    /// the data of a lost one.
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

/// Sorted names of what is in a directory; none if it is not there.
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
