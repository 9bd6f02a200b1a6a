//! A rendering as a flake on disk: the trees, their `configuration.nix`, the modules and the pin.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pgha_core::render::{FLAKE, Rendered};
use pgha_platform::files::{self, FileError};

/// Writes it into `dir`. Nothing reads the directory before it is whole, so no single file is made
/// durable.
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

/// Writes one file of a rendering, and the directories above it.
///
/// # Errors
/// When it cannot be written.
pub fn put(path: &Path, content: &str, mode: u32) -> Result<(), FileError> {
    files::make_dir(path.parent().unwrap_or(Path::new(".")), 0o755)?;
    std::fs::write(path, content).map_err(FileError::at("write", path))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(FileError::at("write", path))
}
