//! The NixOS base: each role set's disk, built by `nix` from a rendering, with nix's own log as
//! progress.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use pgha_core::Cluster;
use pgha_core::cluster::{Base, RoleSet};
use pgha_core::manifest::{Content, DiskImage, DiskManifest};
use pgha_core::render::Rendered;
use pgha_platform::CommandError;
use pgha_platform::files::{self, FileError};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStderr, Command};

use super::nix_checks::FEATURES;
use super::nix_log::Log;
use super::{ImageError, budget, flake};

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct NixOptions {
    /// A nixpkgs of the user's in place of the pinned one.
    pub nixpkgs: Option<PathBuf>,
    /// Build each image a second time and let nix compare.
    pub rebuild: bool,
}

/// Renders into `cache_dir` and builds every role set's disk.
///
/// # Errors
/// When nix cannot be started or fails; its error and the last lines of the build that failed are
/// part of it.
pub async fn build(
    cache_dir: &Path,
    cluster: &Cluster,
    rendered: &Rendered,
    options: &NixOptions,
) -> Result<DiskManifest, ImageError> {
    let tree = write_tree(cache_dir, cluster, rendered)?;
    let mut images = Vec::new();
    for (role_set, files) in &rendered.trees {
        let out = nix_build(&tree, role_set, options, false).await?;
        if options.rebuild {
            tracing::info!("{role_set}: building again, to compare");
            nix_build(&tree, role_set, options, true).await?;
        }
        let path = out.join("disk.raw");
        let (sha256, bytes) = files::digest(&path)?;
        let disk = budget::measure(&path, super::layer(&path, sha256, bytes), contents(&out))?;
        budget::check(cluster, Base::Nixos, role_set, &disk)?;
        images.push(DiskImage {
            role_set: role_set.clone(),
            base: Base::Nixos,
            tree: files.digest(),
            disk,
        });
    }
    Ok(DiskManifest { cluster: cluster.name.clone(), images })
}

/// What the build has noted beside the disk: lines of bytes and path, as `du` writes them.
fn contents(out: &Path) -> Vec<Content> {
    let noted = files::read(&out.join("contents")).unwrap_or_default();
    let content = |line: &str| {
        let (bytes, name) = line.split_once('\t')?;
        Some(Content { name: name.to_owned(), bytes: bytes.parse().ok()? })
    };
    noted.lines().filter_map(content).collect()
}

/// A rendering of its own for nix to read, written anew, so that nobody can have altered it.
fn write_tree(
    cache_dir: &Path,
    cluster: &Cluster,
    rendered: &Rendered,
) -> Result<PathBuf, FileError> {
    let dir = cache_dir.join("trees").join(&cluster.name);
    let new = dir.with_extension(format!("new{}", std::process::id()));
    flake::write(rendered, &new)?;
    files::remove(&dir)?;
    std::fs::rename(&new, &dir).map_err(FileError::at("move", &dir))?;
    Ok(dir)
}

/// Gives the path of the result in the store.
async fn nix_build(
    tree: &Path,
    role_set: &RoleSet,
    options: &NixOptions,
    again: bool,
) -> Result<PathBuf, ImageError> {
    let target = format!("path:{}#{role_set}", tree.display());
    // nix dies with pgha, however that ends: a builder must not go on using the machine.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "nix"]);
    command.args(FEATURES).args(["build", "--no-link", "--json"]);
    command.args(["--no-write-lock-file", "--log-format", "internal-json"]).arg(&target);
    if let Some(nixpkgs) = &options.nixpkgs {
        command.args(["--override-input", "nixpkgs"]).arg(format!("path:{}", nixpkgs.display()));
    }
    command.args(again.then_some("--rebuild"));
    let start = |source| CommandError::Start { program: "nix".to_owned(), source };
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = spawned.map_err(start)?;
    let stderr = child.stderr.take();
    let (log, output) = tokio::join!(follow(role_set, stderr), child.wait_with_output());
    let output = output.map_err(start)?;
    if !output.status.success() {
        let (call, status) = (format!("nix build {target}"), output.status.to_string());
        return Err(CommandError::Failed { call, status, stderr: log.complaint() }.into());
    }
    let results: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let path = results[0]["outputs"]["out"].as_str().unwrap_or_default();
    Ok(PathBuf::from(path))
}

async fn follow(role_set: &RoleSet, stderr: Option<ChildStderr>) -> Log {
    let mut log = Log::default();
    let Some(stderr) = stderr else { return log };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(progress) = log.read(&line) {
            tracing::info!("{role_set}: {progress}");
        }
    }
    log
}
