//! The cache: files named by what they were made from, beside a note of what they must contain.

use std::path::Path;

use pgha_core::manifest::Layer;
use pgha_platform::files::{self, FileError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the note at `path` tells of, if the file it names is there and is what the note says. A damaged one is reported and
/// treated as absent, so that it is built again.
pub(super) fn find<N: DeserializeOwned>(path: &Path, layer_of: impl Fn(&N) -> Layer) -> Option<N> {
    let note: N = serde_json::from_str(&files::read(path).ok()?).ok()?;
    let expected = layer_of(&note);
    let (sha256, bytes) = files::digest(Path::new(&expected.path)).ok()?;
    if expected.sha256.as_str() == sha256 && expected.bytes == bytes {
        return Some(note);
    }
    tracing::warn!("{} is not what was built: its bytes changed; building it again", expected.path);
    None
}

/// Moves a finished file into the cache. The note goes last: without it the file does not count.
pub(super) fn keep<N: Serialize>(finished: &Path, layer: &Layer, path: &Path, note: &N) -> Result<(), FileError> {
    let place = Path::new(&layer.path);
    std::fs::rename(finished, place).map_err(FileError::at("move", place))?;
    files::write(path, serde_json::to_string_pretty(note).unwrap_or_default().as_bytes(), 0o644)
}
