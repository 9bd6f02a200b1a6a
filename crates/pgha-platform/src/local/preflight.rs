//! What must be true of this machine before a node is started.

use std::path::Path;

use super::network::Switch;
use super::{Options, cgroup};
use crate::command::{Command, is_root};
use crate::files;
use crate::provider::{Check, Problem};

/// Programs a node needs, and the Debian package of each.
const PROGRAMS: &[(&str, &str)] = &[
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("setsid", "util-linux"),
];

/// A node's data volume with its write-ahead logs, right after its first start.
const FREE_BYTES: u64 = 2 << 30;

/// `is_new`: there is no node yet, so there must be room for some.
pub(super) async fn checks(options: &Options, switch: &Switch, is_new: bool) -> Vec<Check> {
    let mut checks = vec![root()];
    checks.extend(PROGRAMS.iter().map(|(program, package)| Check::installed(program, package)));
    checks.push(cgroups());
    checks.extend(is_new.then(|| space(&options.state_dir)));
    checks.push(address(options, switch).await);
    checks
}

fn check(name: impl Into<String>, problem: Option<(String, &str)>) -> Check {
    let problem =
        problem.map(|(what, cure)| Problem { what, cure: cure.to_owned(), packages: Vec::new() });
    Check { name: name.into(), problem }
}

fn root() -> Check {
    let wrong = !is_root();
    let what =
        "images and local nodes have mounts and networks of their own, which only root may make"
            .to_owned();
    check("running as root", wrong.then_some((what, "run pgha with sudo")))
}

fn cgroups() -> Check {
    let wrong = cgroup::unified().is_none();
    let what =
        "no cgroup version 2 hierarchy is mounted, so a node's processes could not be told apart"
            .to_owned();
    check(
        "cgroup version 2",
        wrong.then_some((what, "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")),
    )
}

fn space(state_dir: &Path) -> Check {
    let existing = state_dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let free = files::free_bytes(existing).unwrap_or(u64::MAX);
    let what = format!(
        "{} has {} MB free, the nodes' data needs {} MB",
        existing.display(),
        free >> 20,
        FREE_BYTES >> 20
    );
    check(
        "disk space",
        (free < FREE_BYTES).then_some((what, "free some space, or set provider.local.state_dir")),
    )
}

/// The cluster's network must not overlap one that this machine already has a route to.
async fn address(options: &Options, switch: &Switch) -> Check {
    let name = format!("network {}/{}", options.gateway, options.prefix);
    if let Some(records) = switch.anothers() {
        let what = format!(
            "a cluster called `{}` has its nodes in {}",
            options.cluster,
            records.display()
        );
        let cure = "give this cluster another name, or set provider.local.state_dir to where its nodes are";
        return check(name, Some((what, cure)));
    }
    if switch.exists() {
        return check(name, None);
    }
    let routes = Command::new("ip")
        .args(["-j", "route", "show", "table", "all"])
        .run()
        .await
        .unwrap_or_default();
    let routes: Vec<serde_json::Value> = serde_json::from_str(&routes).unwrap_or_default();
    let taken = routes.iter().find_map(|route| {
        let destination = route["dst"].as_str()?;
        overlaps(options, destination).then(|| {
            format!(
                "{destination} is already reached through {}",
                route["dev"].as_str().unwrap_or("another device")
            )
        })
    });
    check(
        name,
        taken.map(|what| {
            (what, "give the nodes addresses of another network, for example 10.90.0.x")
        }),
    )
}

fn overlaps(options: &Options, destination: &str) -> bool {
    let (address, prefix) = destination.split_once('/').unwrap_or((destination, "32"));
    let (Ok(address), Ok(prefix)) = (address.parse::<std::net::Ipv4Addr>(), prefix.parse::<u8>())
    else {
        return false;
    };
    let shortest = prefix.min(options.prefix);
    let mask = u32::MAX.checked_shl(32 - u32::from(shortest)).unwrap_or(0);
    shortest > 0 && (u32::from(address) & mask) == (u32::from(options.gateway) & mask)
}
