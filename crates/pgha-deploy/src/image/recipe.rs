//! Recipes: shell programs of `images/` that are embedded in pgha and run in a mount namespace of
//! their own.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use pgha_core::digest::{Digest, Hasher};
use pgha_platform::files::{self, FileError};
use pgha_platform::{Command, CommandError};

/// Files of a folder of `images/`, with their content.
macro_rules! recipe_files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../images/", $folder, $name)))),+]
    };
}
pub(super) use recipe_files;

/// Digest of everything a recipe consists of.
pub(super) fn digest<T: AsRef<str>>(recipe: &[(&str, T)]) -> Digest {
    let mut hasher = Hasher::default();
    for (name, content) in recipe {
        hasher.part(name.as_bytes()).part(content.as_ref().as_bytes());
    }
    hasher.finish()
}

/// Writes a recipe below `work` and gives its folder.
pub(super) fn unpack<T: AsRef<str>>(
    recipe: &[(&str, T)],
    work: &Path,
) -> Result<PathBuf, FileError> {
    let dir = work.join("recipe");
    for (name, content) in recipe {
        let (path, content) = (dir.join(name), content.as_ref());
        files::make_dir(path.parent().unwrap_or(&dir), 0o755)?;
        files::write(
            &path,
            content.as_bytes(),
            if content.starts_with("#!") { 0o755 } else { 0o644 },
        )?;
    }
    Ok(dir)
}

/// Runs a program of a recipe in a mount namespace of its own, and passes its stages on as progress.
pub(super) async fn run<'a>(
    what: &str,
    script: &Path,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), CommandError> {
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    Command::bound_to_pgha("KILL", "unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .arg(script)
        .args(arguments)
        .shown_as(format!("images/.../{name}"))
        .run_listening(|line| tell_stage(what, line))
        .await
        .map(drop)
}

/// A stage, like mmdebstrap's, starts with `I: ` and ends with dots.
fn tell_stage(what: &str, line: &str) {
    let stage = line.strip_prefix("I: ").and_then(|line| line.strip_suffix("..."));
    if let Some(stage) = stage.filter(|stage| !stage.contains('/')) {
        tracing::info!("{what}: {stage}");
    }
}
