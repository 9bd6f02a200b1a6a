//! Inputs in a folder are the tests: every cluster file of `tests/clusters` and `infrastructure`
//! has its golden tree, and every file of `tests/invalid` its golden complaint. `PGHA_BLESS=1 cargo
//! test` rewrites them; read the diff.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's root")
}

fn pgha(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgha"));
    command.args(arguments).current_dir(project()).env("NO_COLOR", "1").output().expect("pgha runs")
}

fn toml_files(dir: &str) -> Vec<String> {
    let entries = fs::read_dir(project().join(dir)).expect("a folder of cases").flatten();
    let names = entries
        .map(|entry| format!("{dir}/{}", entry.file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".toml"));
    let mut names = names.collect::<Vec<_>>();
    names.sort();
    names
}

fn bless() -> bool {
    std::env::var_os("PGHA_BLESS").is_some()
}

fn files_below(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(
                files_below(&entry.path())
                    .into_iter()
                    .map(|(path, text)| (Path::new(&entry.file_name()).join(path), text)),
            );
        } else {
            found.insert(
                PathBuf::from(entry.file_name()),
                fs::read_to_string(entry.path()).expect("text"),
            );
        }
    }
    found
}

/// Every rendering holds the same files of the project; kept in each golden tree they would only be
/// copies.
fn take_out_the_flake(out: &Path) {
    for (path, content) in pgha_core::render::FLAKE {
        assert_eq!(
            fs::read_to_string(out.join(path)).ok().as_deref(),
            Some(*content),
            "{path} of a rendering"
        );
        fs::remove_file(out.join(path)).expect("removed");
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files_below(from).into_keys() {
        fs::create_dir_all(to.join(&path).parent().expect("a folder")).expect("made");
        fs::copy(from.join(&path), to.join(&path)).expect("copied");
    }
}

#[test]
fn every_cluster_renders_to_its_golden_tree() {
    let mut wrong = Vec::new();
    for file in toml_files("tests/clusters").into_iter().chain(toml_files("infrastructure")) {
        let stem = Path::new(&file).file_stem().expect("a name").to_string_lossy().into_owned();
        let golden = project().join("tests/golden").join(&stem);
        let work = tempfile::tempdir().expect("a directory");
        let out = work.path().join("out");
        let output = pgha(&["-f", &file, "render", "--out", &out.to_string_lossy()]);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        take_out_the_flake(&out);
        if bless() {
            let _ = fs::remove_dir_all(&golden);
            copy(&out, &golden);
        }
        let (new, old) = (files_below(&out), files_below(&golden));
        let paths = new.keys().chain(old.keys()).collect::<std::collections::BTreeSet<_>>();
        wrong.extend(
            paths
                .into_iter()
                .filter(|path| new.get(*path) != old.get(*path))
                .map(|path| format!("{stem}/{}", path.display())),
        );
    }
    assert!(
        wrong.is_empty(),
        "these files changed; PGHA_BLESS=1 accepts them:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_invalid_file_gets_its_golden_complaint() {
    let (files, mut wrong) = (toml_files("tests/invalid"), Vec::new());
    assert!(files.len() >= 25, "only {} invalid files", files.len());
    for file in files {
        let output = pgha(&["-f", &file, "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{file} must be refused with 1:\n{said}");
        assert!(output.stdout.is_empty(), "{file}: stdout carries data only");
        let golden = project().join(&file).with_extension("txt");
        if bless() {
            fs::write(&golden, &said).expect("written");
        }
        if fs::read_to_string(&golden).unwrap_or_default() != said {
            wrong.push(format!("{file} now says:\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_invalid_file_renders_nothing() {
    let work = tempfile::tempdir().expect("a directory");
    let out = work.path().join("out");
    let output =
        pgha(&["-f", "tests/invalid/fsync-off.toml", "render", "--out", &out.to_string_lossy()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        fs::read_dir(work.path()).expect("a directory").next().is_none(),
        "something was written"
    );
}

#[test]
fn rendering_never_replaces_a_foreign_directory() {
    let work = tempfile::tempdir().expect("a directory");
    fs::write(work.path().join("precious"), "data").expect("written");
    let output = pgha(&[
        "-f",
        "tests/clusters/minimal.toml",
        "render",
        "--out",
        &work.path().to_string_lossy(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(files_below(work.path()).len(), 1);
}

#[test]
fn what_init_writes_is_valid() {
    let work = tempfile::tempdir().expect("a directory");
    let file = work.path().join("cluster.toml");
    fs::write(&file, pgha(&["init", "--name", "shop"]).stdout).expect("written");
    let output = pgha(&["-f", &file.to_string_lossy(), "check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(pgha(&["init", "--name", "Shop!"]).status.code(), Some(1));
}
