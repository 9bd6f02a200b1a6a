//! The cache: files named by what they were made from, beside a note of what they must contain.

use std::path::Path;

use pgha_core::manifest::Layer;
use pgha_platform::files::{self, FileError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the note at `path` tells of, if the files it names are there and are what the note says. A
/// damaged one is reported and treated as absent, so that it is built again.
pub(super) fn find<N: DeserializeOwned>(
    path: &Path,
    layers_of: impl Fn(&N) -> Vec<Layer>,
) -> Option<N> {
    let note: N = serde_json::from_str(&files::read(path).ok()?).ok()?;
    for expected in layers_of(&note) {
        let (sha256, bytes) = files::digest(Path::new(&expected.path)).ok()?;
        if expected.sha256.as_str() != sha256 || expected.bytes != bytes {
            tracing::warn!(
                "{} is not what was built: its bytes changed; building it again",
                expected.path
            );
            return None;
        }
    }
    Some(note)
}

/// Moves finished files into the cache. The note goes last: without it they do not count.
pub(super) fn keep<N: Serialize>(
    finished: &[(&Path, &Layer)],
    path: &Path,
    note: &N,
) -> Result<(), FileError> {
    for (file, layer) in finished {
        let place = Path::new(&layer.path);
        std::fs::rename(file, place).map_err(FileError::at("move", place))?;
    }
    files::write(path, serde_json::to_string_pretty(note).unwrap_or_default().as_bytes(), 0o644)
}
