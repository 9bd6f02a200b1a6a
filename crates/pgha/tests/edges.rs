//! Which crate may know which: the table of crates/README.md, enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const ALLOWED: &[(&str, &[&str])] = &[
    ("pgha-core", &[]),
    ("pgha-platform", &[]),
    ("pgha-deploy", &["pgha-core", "pgha-platform"]),
    ("pgha-verify", &["pgha-core", "pgha-platform"]),
    ("pgha-hetzner", &["pgha-platform"]),
    ("hetzner-fake", &[]),
    ("pgha", &["pgha-core", "pgha-platform", "pgha-deploy", "pgha-verify"]),
];

/// The core touches nothing: none of these may come near it.
const NOT_IN_CORE: &[&str] = &["tokio", "reqwest", "russh", "nix", "tempfile", "rand", "jiff"];

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .output();
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.expect("cargo runs").stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, list)| (*name, list.iter().copied().collect())).collect();
    assert_eq!(packages.len(), allowed.len(), "a crate is missing from this table");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
        let names = dependencies
            .filter(|d| d["kind"].is_null())
            .filter_map(|d| d["name"].as_str())
            .collect::<BTreeSet<_>>();
        let ours =
            names.iter().copied().filter(|name| name.starts_with("pgha")).collect::<BTreeSet<_>>();
        assert!(
            ours.is_subset(&allowed[name]),
            "{name} may not depend on {:?}",
            ours.difference(&allowed[name])
        );
        if name == "pgha-core" {
            assert!(
                NOT_IN_CORE.iter().all(|banned| !names.contains(banned)),
                "pgha-core must touch nothing"
            );
        }
    }
}

/// `cargo deny` is not part of the tests; the bans that matter at run time are.
#[test]
fn no_banned_crate_is_in_the_lock() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let read = |name: &str| std::fs::read_to_string(format!("{root}{name}")).expect(name);
    let (deny, lock) = (read("deny.toml"), read("Cargo.lock"));
    let banned = deny
        .lines()
        .filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next())
        .collect::<Vec<_>>();
    assert!(banned.len() >= 3, "deny.toml bans nothing");
    for name in banned {
        assert!(
            !lock.contains(&format!("name = \"{name}\"")),
            "{name} is banned by deny.toml and is in Cargo.lock"
        );
    }
}
