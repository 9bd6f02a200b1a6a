//! Recipes: shell programs of `images/` that are embedded in pgha and run in a mount namespace of
//! their own.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use pgha_core::digest::{Digest, Hasher};
use pgha_platform::CommandError;
use pgha_platform::files::{self, FileError};

use super::ImageError;

/// Files of a folder of `images/`, with their content.
macro_rules! recipe_files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../images/", $folder, $name)))),+]
    };
}
pub(super) use recipe_files;

/// Digest of everything a recipe consists of.
pub(super) fn digest(recipe: &[(&str, &str)]) -> Digest {
    let mut hasher = Hasher::default();
    for (name, content) in recipe {
        hasher.part(name.as_bytes()).part(content.as_bytes());
    }
    hasher.finish()
}

/// Writes a recipe below `work` and gives its folder.
pub(super) fn unpack(recipe: &[(&str, &str)], work: &Path) -> Result<PathBuf, FileError> {
    let dir = work.join("recipe");
    for (name, content) in recipe {
        let path = dir.join(name);
        files::make_dir(path.parent().unwrap_or(&dir), 0o755)?;
        files::write(
            &path,
            content.as_bytes(),
            if content.starts_with("#!") { 0o755 } else { 0o644 },
        )?;
    }
    Ok(dir)
}

/// Runs a program of a recipe and passes its stages on as progress. It dies with pgha: half a build
/// must not go on using the machine.
pub(super) async fn run<'a>(
    what: &'static str,
    script: &Path,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), ImageError> {
    let mut command = Process::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--propagation",
        "private",
    ]);
    command
        .arg(script)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let script = script.to_owned();
    let run = tokio::task::spawn_blocking(move || follow(what, &script, command));
    Ok(run.await.map_err(|error| ImageError::Archive(std::io::Error::other(error)))??)
}

fn follow(what: &str, script: &Path, mut command: Process) -> Result<(), CommandError> {
    let start = |source| CommandError::Start { program: "unshare".to_owned(), source };
    let mut child = command.spawn().map_err(start)?;
    let log = child.stderr.take().map(|stderr| tell_stages(what, stderr)).unwrap_or_default();
    let status = child.wait().map_err(start)?;
    if status.success() {
        return Ok(());
    }
    let stderr = pgha_platform::command::last_lines(log.as_bytes(), 12);
    let name = script.file_name().unwrap_or_default().to_string_lossy();
    Err(CommandError::Failed {
        call: format!("images/.../{name}"),
        status: status.to_string(),
        stderr,
    })
}

/// Reads a recipe's output to its end; its stages, like mmdebstrap's, start with `I: `.
fn tell_stages(what: &str, stderr: impl Read) -> String {
    let mut log = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(stage) =
            line.strip_prefix("I: ").filter(|stage| stage.ends_with("...") && !stage.contains('/'))
        {
            tracing::info!("{what}: {}", stage.trim_end_matches("..."));
        }
        log.push_str(&line);
        log.push('\n');
    }
    log
}
