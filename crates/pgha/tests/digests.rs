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

/// The lines of `text`, with the first that holds `a` and the first that holds `b` exchanged.
fn swapped(text: &str, a: &str, b: &str) -> String {
    let mut lines = text.lines().collect::<Vec<_>>();
    let line = |part| text.lines().position(|line| line.contains(part)).expect("a line");
    lines.swap(line(a), line(b));
    lines.join("\n")
}

#[test]
fn the_order_of_nodes_moves_nothing() {
    assert!(moved(&swapped(BASE, "node-1", "node-3")).is_empty());
}

const LISTS: &str = r#"
[network]
clients = [
  "10.89.1.0/24",
  "10.2.0.0/16",
]
[postgresql]
users = [
  { name = "app" },
  { name = "x" },
]
databases = [
  { name = "one", owner = "app" },
  { name = "two", owner = "x" },
]
[postgresql.parameters]
work_mem = "64MB"
max_connections = 200
[os.sysctl]
"net.core.somaxconn" = 1024
"net.core.rmem_max" = 1048576
"#;

#[test]
fn the_order_of_what_is_no_sequence_moves_nothing() {
    let work = tempfile::tempdir().expect("a directory");
    let text = format!("{BASE}{LISTS}");
    let old = digests(work.path(), &text);
    let pairs = [
        ("10.89.1.0/24", "10.2.0.0/16"),
        ("{ name = \"app\" }", "{ name = \"x\" }"),
        ("\"one\"", "\"two\""),
        ("work_mem", "max_connections"),
        ("somaxconn", "rmem_max"),
    ];
    for (a, b) in pairs {
        assert_eq!(digests(work.path(), &swapped(&text, a, b)), old, "{a} and {b}");
    }
}

#[test]
fn rendering_again_moves_nothing() {
    assert!(moved(BASE).is_empty());
}
