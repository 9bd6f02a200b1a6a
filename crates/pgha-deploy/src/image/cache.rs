//! The cache: files named by what they were made from, beside a note of what they must contain.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pgha_core::manifest::Layer;
use pgha_platform::files::{self, FileError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The content of the note at `path`, if the files it names exist and match it. A damaged file is
/// reported and treated as absent, so that it is built again.
pub(super) fn find<N: DeserializeOwned>(
    path: &Path,
    layers_of: impl Fn(&N) -> Vec<Layer>,
) -> Option<N> {
    let note: N = serde_json::from_str(&files::read(path).ok()?).ok()?;
    for expected in layers_of(&note) {
        close(Path::new(&expected.path)).ok()?;
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

/// Takes write access from other users, whatever umask the file was built under: nodes run from
/// these bytes. Done before the file is checked, so that it stays what was checked.
fn close(file: &Path) -> std::io::Result<()> {
    let mode = std::fs::metadata(file)?.permissions().mode();
    if mode & 0o022 == 0 {
        return Ok(());
    }
    std::fs::set_permissions(file, Permissions::from_mode(0o644))
}

/// Moves finished files into the cache. The note goes last: without it they do not count.
pub(super) fn store<N: Serialize>(
    finished: &[(&Path, &Layer)],
    path: &Path,
    note: &N,
) -> Result<(), FileError> {
    for (file, layer) in finished {
        let place = Path::new(&layer.path);
        std::fs::rename(file, place).map_err(FileError::at("move", place))?;
        close(place).map_err(FileError::at("use", place))?;
    }
    files::write(path, serde_json::to_string_pretty(note).unwrap_or_default().as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_could_change_is_closed_to_them_before_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (file, note) = (dir.path().join("layer"), dir.path().join("layer.json"));
        files::write(&file, b"bytes", 0o666).unwrap();
        let (sha256, bytes) = files::digest(&file).unwrap();
        let layer = super::super::layer(&file, sha256, bytes);
        files::write(&note, serde_json::to_string(&layer).unwrap().as_bytes(), 0o644).unwrap();
        assert_eq!(find(&note, |layer: &Layer| vec![layer.clone()]), Some(layer));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    }
}
