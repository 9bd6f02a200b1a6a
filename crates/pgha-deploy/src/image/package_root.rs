//! The package root of the Debian base: the embedded recipe of `images/debian`, run by mmdebstrap.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use pgha_core::manifest::Layer;
use pgha_core::service::{self, SERVICES};
use pgha_platform::Command;
use pgha_platform::files::{self, FileError, Lock};
use serde::{Deserialize, Serialize};

use super::recipe::{self, recipe_files};
use super::{ImageError, cache};

const RECIPE: &[(&str, &str)] = recipe_files!["debian/": "build.sh", "essential.sh", "customize.sh", "requirements.txt", "patroni-prompt-switchover.patch", "patroni-stale-leader.patch"];

/// The recipe, with what the services declare: their packages, and their users with numeric IDs.
fn recipe() -> Vec<(&'static str, Cow<'static, str>)> {
    let users = service::ids().into_iter().map(|(name, id)| format!("{name} {id}\n"));
    let written = [("packages.txt", packages()), ("users.txt", users.collect())];
    let fixed = RECIPE.iter().map(|(name, text)| (*name, Cow::from(*text)));
    fixed.chain(written.map(|(name, text)| (name, Cow::from(text)))).collect()
}

/// Debian packages of the node image, one per line. Dependencies are added automatically, recommended packages are not.
pub(super) fn packages() -> String {
    SERVICES.iter().flat_map(|service| service.packages).map(|name| format!("{name}\n")).collect()
}

/// Room for the finished file, its predecessor and, on disk, the unpacked tree.
const NEEDED_BYTES: u64 = 1 << 30;

/// With more free memory than this, the build unpacks into memory instead of onto the disk.
const MEMORY_BYTES: u64 = 3 << 30;

/// A built package root.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackageRoot {
    /// The squashfs file.
    pub layer: Layer,
    /// Every installed package with its version.
    pub packages: BTreeMap<String, String>,
    /// Seconds its build took.
    pub build_seconds: f64,
}

/// The package root of the recipe. It is built if it is missing or damaged, or if `refresh` is set.
pub(super) async fn ensure(cache_dir: &Path, refresh: bool) -> Result<PackageRoot, ImageError> {
    let dir = dir(cache_dir);
    files::make_dir(&dir, 0o755)?;
    let note = note(cache_dir);
    if !refresh && let Some(found) = cached(&note) {
        return Ok(found);
    }
    let _alone = alone(&dir).await?;
    // Another process may have built it meanwhile.
    if !refresh && let Some(found) = cached(&note) {
        return Ok(found);
    }
    sweep(&dir)?;
    space(&dir)?;
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let started = std::time::Instant::now();
    let finished = build(work.path()).await?;
    let (sha256, bytes) = files::digest(&finished)?;
    let packages = read_packages(&finished.with_extension("squashfs.packages"))?;
    // Named by its content: nodes that run an older root must find theirs unchanged when they boot
    // again.
    let path = dir.join(format!("debian-{}.squashfs", &sha256[..16]));
    let root = PackageRoot {
        layer: super::layer(&path, sha256, bytes),
        packages,
        build_seconds: started.elapsed().as_secs_f64(),
    };
    cache::store(&[(&finished, &root.layer)], &note, &root)?;
    Ok(root)
}

fn cached(note: &Path) -> Option<PackageRoot> {
    cache::find(note, |root: &PackageRoot| vec![root.layer.clone()])
}

/// Only one build at a time, because two would compete for the machine. The holder of the lock also
/// knows that other temporary files are left over from killed builds.
pub(super) async fn alone(dir: &Path) -> Result<Lock, FileError> {
    let mut told = false;
    loop {
        match files::lock(&dir.join("lock"), "a build of the package root")? {
            Ok(lock) => return Ok(lock),
            Err(holder) if !told => tracing::info!("package root: waiting for {holder}"),
            Err(_) => {}
        }
        told = true;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Removes what killed builds have left.
fn sweep(dir: &Path) -> Result<(), FileError> {
    let entries = std::fs::read_dir(dir).map_err(FileError::at("read", dir))?;
    let left =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(".tmp"));
    left.map(|entry| entry.path()).try_for_each(|path| files::remove(&path))
}

/// The newest package root of the recipe, according to its note. Its bytes are not checked.
pub(super) fn noted(cache_dir: &Path) -> Option<PackageRoot> {
    serde_json::from_str(&files::read(&note(cache_dir)).ok()?).ok()
}

impl PackageRoot {
    /// When it was built. Absent: its note is not there.
    pub(super) fn built(&self, cache_dir: &Path) -> Option<Timestamp> {
        std::fs::metadata(note(cache_dir)).ok()?.modified().ok()?.try_into().ok()
    }
}

pub(super) fn dir(cache_dir: &Path) -> PathBuf {
    cache_dir.join("package-roots")
}

fn note(cache_dir: &Path) -> PathBuf {
    dir(cache_dir).join(format!("debian-{}.json", recipe::digest(&recipe()).short()))
}

fn space(dir: &Path) -> Result<(), ImageError> {
    let free = files::free_bytes(dir)?;
    if free >= NEEDED_BYTES {
        return Ok(());
    }
    Err(ImageError::Space {
        dir: dir.to_owned(),
        free_mb: free >> 20,
        needed_mb: NEEDED_BYTES >> 20,
    })
}

async fn build(work: &Path) -> Result<PathBuf, ImageError> {
    let recipe = recipe::unpack(&recipe(), work)?;
    files::make_dir(&work.join("tree"), 0o755)?;
    tracing::info!("package root: downloading Patroni");
    let download = [
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--dest",
    ];
    Command::new("pip3")
        .args(download)
        .arg(&recipe)
        .arg("-r")
        .arg(recipe.join("requirements.txt"))
        .run()
        .await?;
    let out = work.join("root.squashfs");
    let place = if free_memory() > MEMORY_BYTES { "tmpfs" } else { "disk" };
    recipe::run(
        "package root",
        &recipe.join("build.sh"),
        [recipe.as_os_str(), work.join("tree").as_os_str(), out.as_os_str(), place.as_ref()],
    )
    .await?;
    Ok(out)
}

/// Available memory in bytes; 0 when the kernel does not say.
fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}

fn read_packages(path: &Path) -> Result<BTreeMap<String, String>, FileError> {
    let text = files::read(path)?;
    let debian = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
    let mut packages: BTreeMap<String, String> = debian.collect();
    // Patroni comes from its wheel, which takes precedence over Debian's copy.
    let requirement =
        RECIPE.iter().find(|(name, _)| *name == "requirements.txt").map_or("", |(_, text)| text);
    if let Some(version) = requirement
        .lines()
        .find_map(|line| line.strip_prefix("patroni=="))
        .and_then(|rest| rest.split(' ').next())
    {
        packages.insert("patroni".to_owned(), version.to_owned());
    }
    Ok(packages)
}
