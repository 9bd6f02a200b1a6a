//! The Nix files, as far as they can be checked without Nix: they parse, they are formatted, the
//! flake's lock is the pin, and every rendering holds the very modules of this project.
//! `PGHA_BLESS=1 cargo test` formats them.

use std::fs;
use std::path::{Path, PathBuf};

use pgha_core::render::FLAKE;
use serde_json::Value;

/// Found equal in two independent public lock files: nobody here could fetch it.
const PIN: (&str, &str) = (
    "5880666fd9eb563038431edb35c2d0aa595884e6",
    "sha256-OURZPknrTjQrlNyxPdqzyqmU/81Wes1CUP/Ft1Rv/YI=",
);

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the project's root")
}

fn nix_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files = Vec::new();
    for path in entries {
        let skipped = ["target", ".git", "templates"].iter().any(|name| path.ends_with(name));
        if path.is_dir() && !skipped {
            files.extend(nix_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "nix") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_nix_file_parses_and_is_formatted() {
    let (files, mut wrong) = (nix_files(&project()), Vec::new());
    assert!(files.len() > 15, "only {} Nix files found", files.len());
    for path in files {
        let text = fs::read_to_string(&path).expect("text");
        let parsed = rnix::Root::parse(&text);
        assert!(parsed.errors().is_empty(), "{}: {:?}", path.display(), parsed.errors());
        let formatted = nixfmt_rs::format(&text).unwrap_or_else(|e| {
            panic!("{}: {}", path.display(), nixfmt_rs::format_error(&text, None, &e))
        });
        if formatted != text {
            if std::env::var_os("PGHA_BLESS").is_some() {
                fs::write(&path, &formatted).expect("written");
            }
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "not formatted; PGHA_BLESS=1 formats them:\n{}", wrong.join("\n"));
}

#[test]
fn the_lock_is_the_pin_and_both_flakes_name_it() {
    let lock: Value =
        serde_json::from_str(&fs::read_to_string(project().join("flake.lock")).expect("a lock"))
            .expect("JSON");
    let node = &lock["nodes"]["nixpkgs"];
    assert_eq!(
        (node["locked"]["rev"].as_str(), node["locked"]["narHash"].as_str()),
        (Some(PIN.0), Some(PIN.1))
    );
    let original = ["type", "owner", "repo", "ref"]
        .map(|key| node["original"][key].as_str().unwrap_or_default());
    let url = format!("{}:{}/{}/{}", original[0], original[1], original[2], original[3]);
    for flake in ["flake.nix", "images/nixos/tree-flake.nix"] {
        let text = fs::read_to_string(project().join(flake)).expect("a flake");
        assert!(
            text.contains(&format!("inputs.nixpkgs.url = \"{url}\";")),
            "{flake} does not name {url}, which flake.lock is for"
        );
    }
}

#[test]
fn every_rendering_holds_every_module() {
    let held = FLAKE.iter().map(|(path, _)| project().join(path)).collect::<Vec<_>>();
    let missing = nix_files(&project().join("nixos-modules"))
        .into_iter()
        .filter(|path| !held.contains(path))
        .collect::<Vec<_>>();
    assert!(
        missing.is_empty(),
        "add these to FLAKE in crates/pgha-core/src/render/nix.rs: {missing:?}"
    );
}

#[test]
fn the_flake_stays_readable() {
    let lines = fs::read_to_string(project().join("flake.nix")).expect("a flake").lines().count();
    assert!(
        lines <= 120,
        "flake.nix has {lines} lines; what grew belongs into a file of images/nixos or tests/nix"
    );
}
