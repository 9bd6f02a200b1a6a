//! The three digests never mix: each kind of change moves its own.

use std::fs;
use std::path::Path;
use std::process::Command;

const BASE: &str = include_str!("../../../tests/clusters/minimal.toml");

fn digests(dir: &Path, text: &str) -> serde_json::Value {
    let (file, out) = (dir.join("cluster.toml"), dir.join("out"));
    fs::write(&file, text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_pgha"))
        .arg("-f")
        .arg(&file)
        .arg("render")
        .arg("--out")
        .arg(&out)
        .output();
    let output = output.expect("pgha runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&fs::read_to_string(out.join("digests.json")).expect("digests"))
        .expect("JSON")
}

/// Which of image, seed and dynamic differ between the minimal cluster and `text`.
fn moved(text: &str) -> Vec<&'static str> {
    let work = tempfile::tempdir().expect("a directory");
    let (old, new) = (digests(work.path(), BASE), digests(work.path(), text));
    ["image", "seed", "dynamic"].into_iter().filter(|kind| old[kind] != new[kind]).collect()
}

#[test]
fn a_parameter_moves_only_the_dynamic_digest() {
    assert_eq!(
        moved(&format!("{BASE}\n[postgresql.parameters]\nwork_mem = \"64MB\"\n")),
        ["dynamic"]
    );
}

#[test]
fn an_access_line_moves_only_the_dynamic_digest() {
    assert_eq!(
        moved(&format!(
            "{BASE}\n[postgresql]\nhba = [\"hostssl app app 10.0.0.0/8 scram-sha-256\"]\n"
        )),
        ["dynamic"]
    );
}

#[test]
fn a_patroni_timing_moves_only_the_dynamic_digest() {
    assert_eq!(moved(&format!("{BASE}\n[failover]\nprimary_start_timeout = 25\n")), ["dynamic"]);
}

#[test]
fn a_port_of_haproxy_moves_only_the_image_digest() {
    assert_eq!(moved(&format!("{BASE}\n[haproxy]\nstats_port = 7001\n")), ["image"]);
}

#[test]
fn rendering_again_moves_nothing() {
    assert!(moved(BASE).is_empty());
}
