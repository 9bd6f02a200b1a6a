//! A rendering as a flake on disk: the trees, their `configuration.nix`, the modules and the pin.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use pgha_core::render::{FLAKE, Rendered};
use pgha_platform::files::FileError;

/// Writes it into `dir`. Nothing reads the directory before it is complete, so the files are not
/// synced one by one.
///
/// # Errors
/// When a file cannot be written.
pub fn write(rendered: &Rendered, dir: &Path) -> Result<(), FileError> {
    for (role_set, tree) in &rendered.trees {
        for (path, file) in &tree.0 {
            put(
                &dir.join(role_set.to_string()).join(path),
                &file.content,
                if file.executable { 0o755 } else { 0o644 },
            )?;
        }
    }
    for (role_set, configuration) in &rendered.configurations {
        put(&dir.join(role_set.to_string()).join("configuration.nix"), configuration, 0o644)?;
    }
    FLAKE.iter().try_for_each(|(path, content)| put(&dir.join(path), content, 0o644))
}

/// Writes one new file of a rendering, and the directories above it.
///
/// # Errors
/// When it cannot be written, or the path exists already.
pub fn put(path: &Path, content: &str, mode: u32) -> Result<(), FileError> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path.parent().unwrap_or(Path::new(".")));
    let write = || {
        made?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content.as_bytes())
    };
    write().map_err(FileError::at("write", path))
}
