//! `init`, `check`, `render`: the cluster file and what it becomes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pgha_core::Cluster;
use pgha_core::render::SEED_FILES_DIR;
use pgha_deploy::image::flake::{self, put};
use pgha_platform::files::{self, FileError};
use pgha_platform::place::{self, Place};

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

const TEMPLATE: &str = include_str!("init.toml");

/// Marks a directory as a rendering, so that rendering again may replace it.
const MARK: &str = ".pgha-rendered";

pub(super) fn init(name: &str) -> Result<(), Failure> {
    let text = TEMPLATE.replace("{name}", name);
    if Cluster::parse(&text).map_or(true, |(cluster, _)| cluster.name != name) {
        return Err(Failure::no(format!("`{name}` is no cluster name"))
            .hint("lower-case letters, digits and hyphens, at most 20 characters"));
    }
    print::data(&text);
    Ok(())
}

pub(super) fn check(workspace: &Workspace) {
    let cluster = &workspace.cluster;
    let sets = cluster.role_sets().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let stop = cluster.write_stop(pgha_core::cluster::Fault::LeaderLost).worst_seconds;
    print::note(&format!(
        "{} is valid: cluster `{}`, {} nodes, role sets {sets}, durability {}, preset {} (writes stop at most {stop} s when the leader is lost)",
        workspace.file.display(),
        cluster.name,
        cluster.nodes.len(),
        cluster.durability,
        cluster.preset,
    ));
}

/// Writes everything into a directory beside `out` first, then swaps: whenever it is interrupted,
/// one of both is whole. That directory has a name that cannot be guessed and is closed to other
/// users, so that a user who may write beside `out` cannot put a link into it.
pub(super) fn render(workspace: &Workspace, out: &Path) -> Result<(), Failure> {
    let place = place(out)?;
    let out = &place.shown;
    let there = replaceable(&place.held.path(), out)?;
    let beside = tempfile::Builder::new().prefix(".pgha-").tempdir_in(place.held.dir());
    let beside = beside.map_err(FileError::at("write", out))?;
    let (new, old) = (beside.path().join("new"), beside.path().join("old"));
    write_all(workspace, &new).map_err(|error| error.named(&new, out))?;
    swap(&place.held.path(), there, &new, &old).map_err(FileError::at("write", out))?;
    beside.close().map_err(FileError::at("clean up beside", out))?;
    print::note(&format!("wrote {}", out.display()));
    Ok(())
}

/// Where a rendering goes.
struct Out {
    held: Place,
    shown: PathBuf,
}

/// If `out` is a link, its target is replaced, not the link.
fn place(out: &Path) -> Result<Out, Failure> {
    let shown = place::resolve(out).map_err(FileError::at("write", out))?;
    let Some(dir) = shown.parent() else {
        return Err(Failure::no(format!("{} has no name of its own", out.display()))
            .hint("name a new directory, such as ./rendered"));
    };
    files::make_dir(dir, 0o755)?;
    let held = Place::of(&shown).map_err(FileError::at("write", out))?;
    Ok(Out { held, shown })
}

/// The old directory is put back if the new one cannot take its place.
fn swap(out: &Path, there: bool, new: &Path, old: &Path) -> std::io::Result<()> {
    if there {
        std::fs::rename(out, old)?;
    }
    std::fs::rename(new, out).inspect_err(|_| drop(std::fs::rename(old, out)))
}

/// Whether there is a directory at `held`, which messages call `out`. Only one that is empty or an
/// earlier rendering may be replaced.
fn replaceable(held: &Path, out: &Path) -> Result<bool, Failure> {
    let mut entries = match std::fs::read_dir(held) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(
                Failure::no(format!("{} is a file", out.display())).hint("name a new directory")
            );
        }
        entries => entries.map_err(FileError::at("read", out))?,
    };
    if entries.next().is_some() && !held.join(MARK).exists() {
        let failure =
            Failure::no(format!("{} is not empty and holds no earlier rendering", out.display()));
        return Err(failure.hint("name a new directory"));
    }
    Ok(true)
}

fn write_all(workspace: &Workspace, dir: &Path) -> Result<(), FileError> {
    put(&dir.join(MARK), "pgha render replaces this directory as a whole\n", 0o644)?;
    let rendered = &workspace.rendered;
    flake::write(rendered, dir)?;
    for (node, seed) in &rendered.seeds {
        for (path, content) in &seed.files {
            put(
                &dir.join("seeds")
                    .join(node)
                    .join(SEED_FILES_DIR.trim_start_matches('/'))
                    .join(path),
                content,
                0o644,
            )?;
        }
    }
    put(&dir.join("dynamic.json"), &format!("{:#}\n", rendered.dynamic.json()), 0o644)?;
    put(&dir.join("digests.json"), &format!("{:#}\n", digests(workspace)), 0o644)
}

/// The three digests of the rendering. A node's own seed digest also covers secrets, so it is only
/// known where those are.
fn digests(workspace: &Workspace) -> serde_json::Value {
    let rendered = &workspace.rendered;
    let trees = rendered
        .trees
        .iter()
        .map(|(role_set, tree)| (role_set.to_string(), serde_json::json!(tree.digest())));
    let seeds =
        rendered.seeds.iter().map(|(node, seed)| (node.clone(), serde_json::json!(seed.digest())));
    serde_json::json!({
        "image": trees.collect::<serde_json::Map<_, _>>(),
        "seed": seeds.collect::<serde_json::Map<_, _>>(),
        "dynamic": rendered.dynamic.digest(),
    })
}
