//! What the local provider remembers of each server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::provider::{ProviderError, ServerRequest};

/// One server, as written to `record.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) address: Ipv4Addr,
    pub(super) package_root: PathBuf,
    pub(super) configuration: PathBuf,
    pub(super) labels: BTreeMap<String, String>,
}

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
        let dir = self.dir.join("nodes");
        let Ok(entries) = std::fs::read_dir(&dir) else { return Ok(Vec::new()) };
        let complete = entries.flatten().filter(|entry| entry.path().join("record.json").exists());
        let mut names = complete.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>();
        names.sort();
        Ok(names)
    }

    pub(super) fn read(&self, name: &str) -> Result<Record, ProviderError> {
        let path = self.node(name).join("record.json");
        let text = files::read(&path).map_err(|error| match error.is_missing() {
            true => ProviderError::NoServer(name.to_owned()),
            false => error.into(),
        })?;
        serde_json::from_str(&text).map_err(|source| ProviderError::Record { path: path.display().to_string(), source })
    }

    pub(super) fn write(&self, name: &str, record: &Record) -> Result<(), ProviderError> {
        let text = serde_json::to_string_pretty(record).unwrap_or_default();
        Ok(files::write(&self.node(name).join("record.json"), text.as_bytes(), 0o600)?)
    }

    /// Makes the directory, the marked data volume, the seed and last the record, whose presence means that all is there.
    pub(super) fn create(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let dir = self.node(&request.name);
        if dir.join("record.json").exists() {
            return Ok(());
        }
        files::remove(&dir)?;
        files::make_dir(&dir.join("data"), 0o755)?;
        files::write(&dir.join("data/.pgha-new"), request.volume.as_bytes(), 0o644)?;
        self.give(request, &dir)
    }

    /// Writes seed and record: what a server is given at its next boot.
    fn give(&self, request: &ServerRequest, dir: &Path) -> Result<(), ProviderError> {
        files::write(&dir.join("seed"), &request.seed, 0o600)?;
        let record = Record {
            address: request.address,
            package_root: request.package_root.clone(),
            configuration: request.configuration.clone(),
            labels: request.labels.clone(),
        };
        self.write(&request.name, &record)
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), FileError> {
        // The record first: half a deletion must not look like a server.
        files::remove(&self.node(name).join("record.json"))?;
        files::remove(&self.node(name))
    }
}
