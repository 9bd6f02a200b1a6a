//! The configuration layer of the Debian base: the rendered tree, links to the daemons, and which
//! units start.

use std::collections::BTreeMap;
use std::path::Path;

use pgha_core::cluster::{Base, RoleSet};
use pgha_core::digest::Hasher;
use pgha_core::manifest::Layer;
use pgha_core::render::Tree;
use pgha_core::service::SERVICES;
use pgha_platform::Command;
use pgha_platform::files::{self, FileError};
use serde_json::Value;

use super::{ImageError, cache};

/// Changed whenever equal trees would give other bytes, so that old cache entries are not taken for
/// new ones.
const FORMAT: &[u8] = b"debian configuration layer 4";

/// Programs of PostgreSQL that Patroni or an operator calls.
const POSTGRES: &[&str] = &[
    "initdb",
    "pg_basebackup",
    "pg_controldata",
    "pg_ctl",
    "pg_dump",
    "pg_isready",
    "pg_resetwal",
    "pg_rewind",
    "pg_waldump",
    "pgbench",
    "postgres",
    "psql",
];

/// What describes an image besides its rendered files.
pub(super) struct About<'a> {
    pub(super) role_set: &'a RoleSet,
    pub(super) base: Base,
    pub(super) root: &'a Layer,
    pub(super) versions: &'a BTreeMap<String, String>,
}

impl About<'_> {
    /// What the node knows about its own image. An image cannot contain its own digest, so it names
    /// the digests of its parts.
    fn manifest(&self, tree: &Tree) -> String {
        let value = serde_json::json!({
            "role_set": self.role_set, "base": self.base, "tree": tree.digest(), "package_root": self.root.sha256, "versions": self.versions,
        });
        format!("{value:#}\n")
    }
}

/// The layer of one role set, built if it is missing or damaged. `major` is the version of PostgreSQL, whose client programs every node
/// has.
pub(super) async fn ensure(
    cache_dir: &Path,
    tree: &Tree,
    about: &About<'_>,
    major: u16,
) -> Result<Layer, ImageError> {
    let dir = cache_dir.join("configurations");
    files::make_dir(&dir, 0o755)?;
    let manifest = about.manifest(tree);
    let mut key = Hasher::default();
    key.part(FORMAT).part(tree.digest().as_str().as_bytes()).part(manifest.as_bytes());
    let path = dir.join(format!("{}-{}.squashfs", about.role_set, &key.finish().as_str()[..16]));
    let note = path.with_extension("json");
    if let Some(found) = cache::find(&note, |layer: &Layer| vec![layer.clone()]) {
        return Ok(found);
    }
    let tar = pack(tree, &manifest, major).map_err(ImageError::Archive)?;
    let work = tempfile::tempdir_in(&dir).map_err(FileError::at("create", &dir))?;
    let finished = work.path().join("configuration.squashfs");
    let options = ["-tar", "-comp", "zstd", "-reproducible", "-noappend", "-no-progress", "-quiet"];
    Command::new("mksquashfs")
        .arg("-")
        .arg(&finished)
        .args(options)
        .env("SOURCE_DATE_EPOCH", "0")
        .input(tar)
        .run()
        .await?;
    let (sha256, bytes) = files::digest(&finished)?;
    let layer = super::layer(&path, sha256, bytes);
    cache::store(&[(&finished, &layer)], &note, &layer)?;
    Ok(layer)
}

fn pack(tree: &Tree, manifest: &str, major: u16) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, file) in &tree.0 {
        add_file(&mut archive, path, &file.content, if file.executable { 0o755 } else { 0o644 })?;
    }
    add_file(&mut archive, "etc/pgha/manifest.json", manifest, 0o644)?;
    for (name, target) in SERVICES.iter().flat_map(|service| service.links) {
        add_link(&mut archive, &format!("etc/pgha/bin/{name}"), target)?;
    }
    for name in POSTGRES {
        add_link(
            &mut archive,
            &format!("etc/pgha/bin/{name}"),
            &format!("/usr/lib/postgresql/{major}/bin/{name}"),
        )?;
    }
    for unit in units(tree) {
        let own = format!("etc/systemd/system/{unit}");
        let target = if tree.0.contains_key(&own) {
            format!("/{own}")
        } else {
            format!("/usr/lib/systemd/system/{unit}")
        };
        add_link(
            &mut archive,
            &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
            &target,
        )?;
    }
    // The host key comes with the seed; keys made at first boot would only be in the way.
    add_link(&mut archive, "etc/systemd/system/sshd-keygen.service", "/dev/null")?;
    archive.into_inner()
}

/// The units the contract promises.
fn units(tree: &Tree) -> Vec<String> {
    let contract = tree.0.get("etc/pgha/contract.json").map_or("null", |file| &file.content);
    let contract: Value = serde_json::from_str(contract).unwrap_or_default();
    contract["units"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn add_file(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    content: &str,
    mode: u32,
) -> std::io::Result<()> {
    let mut header = header(mode);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content.as_bytes())
}

fn add_link(archive: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) -> std::io::Result<()> {
    let mut header = header(0o777);
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, path, target)
}

fn header(mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_mtime(0);
    header
}
