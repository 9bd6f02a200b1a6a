//! The control group of a node: the one place that knows all its processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const KILL_SECONDS: u64 = 10;

/// Where this machine has cgroup version 2: alone, or beside version 1.
pub(super) fn unified() -> Option<PathBuf> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| root.join("cgroup.controllers").exists())
}

/// Whether the machine has a live process.
pub(super) fn is_populated(machine: &str) -> bool {
    let events = unified().map(|root| root.join(machine).join("cgroup.events"));
    events
        .and_then(|path| fs::read_to_string(path).ok())
        .is_some_and(|text| text.contains("populated 1"))
}

/// Names of the machines that begin with `prefix` and have a live process.
pub(super) fn populated(prefix: &str) -> Vec<String> {
    let groups = unified().and_then(|root| fs::read_dir(root).ok()).into_iter().flatten().flatten();
    let names = groups.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names =
        names.filter(|name| name.starts_with(prefix) && is_populated(name)).collect::<Vec<_>>();
    names.sort();
    names
}

/// Kills every process of the machine at once and removes its groups. Fails with the seconds waited
/// if one does not die.
pub(super) async fn kill(machine: &str) -> Result<(), u64> {
    if let Some(root) = unified() {
        let _ = fs::write(root.join(machine).join("cgroup.kill"), "1");
    }
    emptied(machine, KILL_SECONDS).await?;
    remove(machine);
    Ok(())
}

/// Freezes every process of the machine, or lets them go on. Fails with the seconds waited if not
/// all of them obey.
pub(super) async fn set_frozen(machine: &str, frozen: bool) -> Result<(), u64> {
    let Some(group) = unified().map(|root| root.join(machine)).filter(|group| group.exists())
    else {
        return Ok(());
    };
    let (set, is) = if frozen { ("1", "frozen 1") } else { ("0", "frozen 0") };
    let _ = fs::write(group.join("cgroup.freeze"), set);
    let events = || fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    until(KILL_SECONDS, || events().contains(is)).await
}

/// Waits until no process of the machine is left. Fails with the seconds waited if one still is.
pub(super) async fn emptied(machine: &str, seconds: u64) -> Result<(), u64> {
    until(seconds, || !is_populated(machine)).await
}

/// Waits until `so` is true. Fails with the seconds waited if it never is.
async fn until(seconds: u64, so: impl Fn() -> bool) -> Result<(), u64> {
    for _ in 0..seconds * 100 {
        if so() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(seconds)
}

/// Whether process `id` belongs to the machine. The number alone may belong to another process by
/// now.
pub(super) fn has(machine: &str, id: i32) -> bool {
    let path = fs::read_to_string(format!("/proc/{id}/cgroup")).unwrap_or_default();
    let inside = |line: &str| {
        line.starts_with("0::")
            && line["0::".len()..].trim_start_matches('/').split('/').next() == Some(machine)
    };
    path.lines().any(inside)
}

/// Removes the empty groups of the machine from every hierarchy.
pub(super) fn remove(machine: &str) {
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
        remove_tree(&Path::new(root).join(machine));
    }
}

/// A group can only be removed after its children; its files are virtual.
fn remove_tree(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let _ = fs::remove_dir(dir);
}
