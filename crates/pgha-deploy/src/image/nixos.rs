//! The NixOS base: each role set's disk, built by `nix` from a rendering, with nix's own log as
//! progress.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgha_core::Cluster;
use pgha_core::cluster::{Base, RoleSet};
use pgha_core::manifest::{Artifact, Content, Image, Manifest};
use pgha_core::render::Rendered;
use pgha_platform::files::{self, FileError};
use pgha_platform::{Command, CommandError};
use serde::Deserialize;
use serde_json::Value;

use super::nix_log::Log;
use super::{ImageError, budget, flake};

/// The options that enable `nix build` and flakes.
pub(super) const FEATURES: [&str; 2] = ["--extra-experimental-features", "nix-command flakes"];

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct NixOptions {
    /// The user's own nixpkgs instead of the pinned one.
    pub nixpkgs: Option<PathBuf>,
    /// How often to build each image again and let nix compare.
    pub rebuilds: u32,
}

/// Renders into `cache_dir` and builds every role set's disk.
///
/// # Errors
/// When nix cannot be started or fails. The error contains nix's own error and the last lines of
/// the failed build.
pub async fn build(
    cache_dir: &Path,
    cluster: &Cluster,
    rendered: &Rendered,
    options: &NixOptions,
) -> Result<Manifest, ImageError> {
    let tree = write_tree(cache_dir, cluster, rendered)?;
    let mut images = Vec::new();
    for (role_set, files) in &rendered.trees {
        let out = nix_build(&tree, role_set, options, false).await?;
        for _ in 0..options.rebuilds {
            tracing::info!("{role_set}: building again, to compare");
            nix_build(&tree, role_set, options, true).await?;
        }
        untouched(&out).await?;
        let path = out.join("disk.raw");
        let (sha256, bytes) = files::digest(&path)?;
        let disk = budget::measure(&path, super::layer(&path, sha256, bytes), contents(&out))?;
        budget::check(cluster, Base::Nixos, role_set, &disk)?;
        images.push(Image {
            role_set: role_set.clone(),
            base: Base::Nixos,
            tree: files.digest(),
            artifact: Artifact::Disk { disk },
            versions: versions(&out)?,
        });
    }
    Ok(Manifest { cluster: cluster.name.clone(), images })
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

/// The versions from the image's own manifest, which is copied beside the disk. Without them pgha could not tell whether the image reads
/// the existing data.
fn versions(out: &Path) -> Result<BTreeMap<String, String>, ImageError> {
    #[derive(Deserialize)]
    struct Own {
        versions: BTreeMap<String, String>,
    }
    let path = out.join("manifest.json");
    let own = serde_json::from_str(&files::read(&path)?);
    own.map(|own: Own| own.versions).map_err(|source| ImageError::Unversioned { path, source })
}

/// Writes a fresh rendering for nix to read, so that it cannot have been altered.
fn write_tree(
    cache_dir: &Path,
    cluster: &Cluster,
    rendered: &Rendered,
) -> Result<PathBuf, FileError> {
    let dir = cache_dir.join("trees").join(&cluster.name);
    let new = dir.with_extension(format!("new{}", std::process::id()));
    // Left over from a killed process with the same process ID.
    files::remove(&new)?;
    flake::write(rendered, &new)?;
    files::remove(&dir)?;
    std::fs::rename(&new, &dir).map_err(FileError::at("move", &dir))?;
    Ok(dir)
}

/// Verifies the result: a manifest must not vouch for bytes that were changed in the store after
/// nix wrote them.
async fn untouched(out: &Path) -> Result<(), ImageError> {
    let verify = Command::new("nix").args(FEATURES).args(["store", "verify", "--no-trust"]);
    Ok(verify.arg(out).run().await.map(drop)?)
}

/// Returns the path of the result in the store.
async fn nix_build(
    tree: &Path,
    role_set: &RoleSet,
    options: &NixOptions,
    again: bool,
) -> Result<PathBuf, ImageError> {
    let target = format!("path:{}#{role_set}", tree.display());
    let mut command = Command::bound_to_pgha("TERM", "nix")
        .args(FEATURES)
        .args(["build", "--json", "--no-write-lock-file", "--out-link"])
        // Beside the tree. Without a link, nix may garbage-collect what a manifest names.
        .arg(tree.with_extension(role_set.to_string()))
        .args(["--log-format", "internal-json", &target])
        .args(again.then_some("--rebuild"))
        .shown_as(format!("nix build {target}"));
    if let Some(nixpkgs) = &options.nixpkgs {
        let path = format!("path:{}", nixpkgs.display());
        command = command.args(["--override-input", "nixpkgs", &path]);
    }
    let mut log = Log::default();
    let listen = |line: &str| {
        if let Some(progress) = log.read(line) {
            tracing::info!("{role_set}: {progress}");
        }
    };
    let output = command.run_listening(listen).await.map_err(|error| match error {
        CommandError::Failed { call, status, .. } => {
            CommandError::Failed { call, status, stderr: log.complaint() }
        }
        other => other,
    })?;
    let results: Value = serde_json::from_str(&output).unwrap_or_default();
    let path = results[0]["outputs"]["out"].as_str().unwrap_or_default();
    Ok(PathBuf::from(path))
}
