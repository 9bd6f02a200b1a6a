//! The cache: files named by what they were made from, beside a note of what they must contain.

use std::path::{Path, PathBuf};

use pgha_core::manifest::Layer;
use pgha_platform::files::{self, FileError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The cached file and its note, if both are there and the file is what the note says. A damaged one is reported and
/// treated as absent, so that it is built again.
pub(super) fn find<N: DeserializeOwned>(path: &Path, layer_of: impl Fn(&N) -> Layer) -> Option<N> {
    let note: N = serde_json::from_str(&files::read(&note_path(path)).ok()?).ok()?;
    let (sha256, bytes) = files::digest(path).ok()?;
    let expected = layer_of(&note);
    if expected.sha256.as_str() == sha256 && expected.bytes == bytes {
        return Some(note);
    }
    tracing::warn!("{} is not what was built: its bytes changed; building it again", path.display());
    None
}

/// Moves a finished file into the cache. The note goes last: without it the file does not count.
pub(super) fn keep<N: Serialize>(finished: &Path, path: &Path, note: &N) -> Result<(), FileError> {
    files::remove(&note_path(path))?;
    std::fs::rename(finished, path).map_err(FileError::at("move", path))?;
    files::write(&note_path(path), serde_json::to_string_pretty(note).unwrap_or_default().as_bytes(), 0o644)
}

fn note_path(path: &Path) -> PathBuf {
    path.with_extension("json")
}
