//! The package root of the Debian base: the embedded recipe of `images/debian`, run by mmdebstrap.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use pgha_core::digest::{Digest, Hasher};
use pgha_core::manifest::Layer;
use pgha_platform::files::{self, FileError};
use pgha_platform::{Command, CommandError};
use serde::{Deserialize, Serialize};

use super::{ImageError, cache};

macro_rules! recipe {
    ($($name:literal $mode:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../../images/debian/", $name)), $mode)),+]
    };
}

const RECIPE: &[(&str, &str, u32)] = recipe![
    "build.sh" 0o755, "essential.sh" 0o755, "customize.sh" 0o755,
    "packages.txt" 0o644, "requirements.txt" 0o644, "users.txt" 0o644,
];

/// Room for the finished file, its predecessor and, on disk, the unpacked tree.
const NEEDED_BYTES: u64 = 1 << 30;

/// Free memory from which the build unpacks into memory instead of onto the disk.
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

/// The package root of the recipe, built if it is missing, damaged, or `refresh` is asked for.
pub(super) async fn ensure(cache_dir: &Path, refresh: bool) -> Result<PackageRoot, ImageError> {
    let dir = cache_dir.join("package-roots");
    files::make_dir(&dir, 0o755)?;
    let note = dir.join(format!("debian-{}.json", recipe_digest().short()));
    if !refresh && let Some(found) = cache::find(&note, |root: &PackageRoot| root.layer.clone()) {
        return Ok(found);
    }
    space(&dir)?;
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let started = std::time::Instant::now();
    let finished = build(work.path()).await?;
    let (sha256, bytes) = files::digest(&finished)?;
    let packages = read_packages(&finished.with_extension("squashfs.packages"))?;
    // Named by its content: nodes that run an older root must find theirs unchanged when they boot again.
    let path = dir.join(format!("debian-{}.squashfs", &sha256[..16]));
    let root = PackageRoot { layer: super::layer(&path, sha256, bytes), packages, build_seconds: started.elapsed().as_secs_f64() };
    cache::keep(&finished, &root.layer, &note, &root)?;
    Ok(root)
}

fn recipe_digest() -> Digest {
    let mut hasher = Hasher::default();
    for (name, content, _) in RECIPE {
        hasher.part(name.as_bytes()).part(content.as_bytes());
    }
    hasher.finish()
}

fn space(dir: &Path) -> Result<(), ImageError> {
    let free = files::free_bytes(dir)?;
    if free >= NEEDED_BYTES {
        return Ok(());
    }
    Err(ImageError::Space { dir: dir.to_owned(), free_mb: free >> 20, needed_mb: NEEDED_BYTES >> 20 })
}

async fn build(work: &Path) -> Result<PathBuf, ImageError> {
    let recipe = work.join("recipe");
    files::make_dir(&recipe, 0o755)?;
    files::make_dir(&work.join("tree"), 0o755)?;
    for (name, content, mode) in RECIPE {
        files::write(&recipe.join(name), content.as_bytes(), *mode)?;
    }
    tracing::info!("package root: downloading Patroni");
    let download = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest"];
    Command::new("pip3").args(download).arg(&recipe).arg("-r").arg(recipe.join("requirements.txt")).run().await?;
    let out = work.join("root.squashfs");
    let (tree, target) = (work.join("tree"), out.clone());
    let run = tokio::task::spawn_blocking(move || run_recipe(&recipe, &tree, &target));
    run.await.map_err(|error| ImageError::Archive(std::io::Error::other(error)))??;
    Ok(out)
}

/// Runs build.sh in a mount namespace of its own and passes its stages on as progress.
fn run_recipe(recipe: &Path, tree: &Path, out: &Path) -> Result<(), CommandError> {
    let place = if free_memory() > MEMORY_BYTES { "tmpfs" } else { "disk" };
    let start = |source| CommandError::Start { program: "unshare".to_owned(), source };
    // The build dies with pgha: a half-built root must not go on using the machine.
    let mut child = Process::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"])
        .arg(recipe.join("build.sh"))
        .args([recipe, tree, out])
        .arg(place)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    let log = child.stderr.take().map(follow).unwrap_or_default();
    let status = child.wait().map_err(start)?;
    if status.success() {
        return Ok(());
    }
    let stderr = pgha_platform::command::last_lines(log.as_bytes(), 12);
    Err(CommandError::Failed { call: "images/debian/build.sh".to_owned(), status: status.to_string(), stderr })
}

/// Reads mmdebstrap's output to its end; its stages start with `I: `.
fn follow(stderr: impl Read) -> String {
    let mut log = String::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(stage) = line.strip_prefix("I: ").filter(|stage| is_stage(stage)) {
            tracing::info!("package root: {}", stage.trim_end_matches("..."));
        }
        log.push_str(&line);
        log.push('\n');
    }
    log
}

fn is_stage(line: &str) -> bool {
    line.ends_with("...") && !line.contains('/')
}

/// Memory the kernel could hand out, in bytes; 0 when it does not say.
fn free_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}

fn read_packages(path: &Path) -> Result<BTreeMap<String, String>, FileError> {
    let text = files::read(path)?;
    let debian = text.lines().filter_map(|line| line.split_once(' ')).map(|(name, version)| (name.to_owned(), version.to_owned()));
    let mut packages: BTreeMap<String, String> = debian.collect();
    // Patroni comes from its wheel, in front of Debian's copy.
    let requirement = RECIPE.iter().find(|(name, ..)| *name == "requirements.txt").map_or("", |(_, text, _)| text);
    if let Some(version) = requirement.lines().find_map(|line| line.strip_prefix("patroni==")).and_then(|rest| rest.split(' ').next()) {
        packages.insert("patroni".to_owned(), version.to_owned());
    }
    Ok(packages)
}
