//! Starting a container so that it outlives this process.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup;
use super::record::Record;
use crate::command::CommandError;
use crate::files::{self, FileError};
use crate::provider::ProviderError;

const LAUNCH: &str = include_str!("launch-node.sh");
const RUN: &str = "/run/pgha-local";

/// Boots the machine. Returns at once; the container's console goes to `console.log`.
pub(super) fn launch(machine: &str, node: &Path, record: &Record) -> Result<(), ProviderError> {
    let run = Path::new(RUN).join(machine);
    files::make_dir(&run, 0o700)?;
    let script = run.join("launch-node.sh");
    files::write(&script, LAUNCH.as_bytes(), 0o600)?;
    let path = node.join("console.log");
    let console = console(&path).map_err(FileError::at("open", &path))?;
    let errors = console.try_clone().map_err(FileError::at("open", &path))?;
    // A separate session: the node must survive the terminal that started it. Through the shell,
    // because Debian mounts /run with noexec.
    let child = Command::new("setsid")
        .arg("/bin/sh")
        .arg(&script)
        .arg(machine)
        .args([&record.package_root.path, &record.configuration.path, &run])
        .args([node.join("data"), node.join(&record.seed)])
        .arg(node.file_name().unwrap_or_default())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(console)
        .stderr(errors)
        .spawn();
    child.map_err(|source| CommandError::Start { program: "setsid".to_owned(), source })?;
    Ok(())
}

/// An empty file for the console of a node, which may show secrets that the node was given.
fn console(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    // A file of an earlier pgha may be open to others.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Asks the container to power itself off. False when it does not run.
pub(super) fn ask_to_stop(machine: &str) -> bool {
    let note =
        std::fs::read_to_string(Path::new(RUN).join(machine).join("pid")).unwrap_or_default();
    let Ok(id) = note.trim().parse::<i32>() else {
        return false;
    };
    // systemd-nspawn passes it on as an orderly power-off.
    cgroup::has(machine, id) && kill(Pid::from_raw(id), Signal::SIGTERM).is_ok()
}

/// Removes the directories the machine's mounts were on.
pub(super) fn forget(machine: &str) {
    let _ = files::remove(&Path::new(RUN).join(machine));
    let _ = std::fs::remove_dir(RUN);
}
