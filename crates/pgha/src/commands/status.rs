//! `status`: the cluster at one moment.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::{Table, presets};
use pgha_deploy::fleet::Fleet;
use pgha_deploy::haproxy::Pools;
use pgha_deploy::health::mebibytes;
use pgha_deploy::observe;
use pgha_deploy::status::{NodeStatus, Status};

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

const WATCH: Duration = Duration::from_secs(2);

pub(super) async fn run(workspace: &Workspace, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let (_, fleet) = workspace.fleet().await?;
    loop {
        let status = observe(workspace, &fleet).await?;
        if args.json.json {
            print::json(&status);
        } else {
            if args.watch {
                print::clear();
            }
            print::data(&text(&status));
        }
        if !args.watch {
            let no = args.exit_code && !status.healthy;
            return Ok(if no { ExitCode::FAILURE } else { ExitCode::SUCCESS });
        }
        tokio::time::sleep(WATCH).await;
    }
}

async fn observe(workspace: &Workspace, fleet: &Fleet) -> Result<Status, Failure> {
    let world = observe::servers(&workspace.provider).await?;
    let package_root = workspace.builder.newest_package_root();
    let (cluster, rendered) = (&workspace.cluster, &workspace.rendered);
    let mut status = Status::observe(cluster, rendered, package_root.as_ref(), fleet, &world).await;
    status.warnings.extend(workspace.builder.updates());
    status.warnings.extend(fleet.secrets().unfinished());
    Ok(status)
}

fn text(status: &Status) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "node",
        "address",
        "role",
        "state",
        "TL",
        "lag",
        "replay",
        "etcd",
        "HAProxy",
        "image",
        "since",
        "seed",
        "guard",
        "certificate",
    ]);
    table.add_rows(status.nodes.iter().map(row));
    let mut text = format!(
        "cluster {}: {}\n{table}\n",
        status.cluster,
        if status.healthy { "healthy" } else { "NOT healthy" }
    );
    let unmet = status
        .conditions
        .iter()
        .filter(|condition| !condition.met)
        .map(|condition| format!("not yet: {}\n", condition.text));
    let warnings = status.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    let nodes = status.nodes.iter().flat_map(remarks);
    text.extend(unmet.chain(warnings).chain(nodes));
    if let Some(servers) = servers(status) {
        text.push_str(&format!("\n{servers}\n"));
    }
    if let Some(dynamic) = &status.dynamic {
        text.push_str(&format!(
            "\ndynamic configuration {}\n",
            or_old(dynamic, status.dynamic_current)
        ));
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn row(node: &NodeStatus) -> [String; 14] {
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let etcd = node.etcd.as_ref().map(|etcd| match (etcd.leader, etcd.has_leader) {
        (true, _) => "leader".to_owned(),
        (false, true) => "follower".to_owned(),
        (false, false) => "no quorum".to_owned(),
    });
    [
        node.name.clone(),
        node.address.to_string(),
        or_dash(node.role.clone()),
        or_dash(if node.running { node.state.clone() } else { Some("off".to_owned()) }),
        or_dash(node.timeline.map(|timeline| timeline.to_string())),
        or_dash(node.lag_bytes.map(mebibytes)),
        or_dash(node.replay_lag_bytes.map(mebibytes)),
        or_dash(etcd),
        or_dash(node.haproxy.as_ref().map(routes)),
        or_old(&node.image, node.image_current),
        or_dash(node.since.as_deref().and_then(age)),
        or_old(&node.seed, Some(node.seed_current)),
        or_dash(node.guard.clone()),
        or_dash(node.certificate_days.map(|days| match days {
            ..0 => "ended".to_owned(),
            days => format!("{days} days"),
        })),
    ]
}

fn or_old(digest: &str, current: Option<bool>) -> String {
    format!("{digest}{}", if current == Some(false) { " (old)" } else { "" })
}

/// How long ago, in the largest unit that fits.
fn age(since: &str) -> Option<String> {
    let seconds =
        jiff::Timestamp::now().as_second() - since.parse::<jiff::Timestamp>().ok()?.as_second();
    Some(match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    })
}

/// Where this HAProxy sends writes, and how many servers it has for reads.
fn routes(pools: &Pools) -> String {
    let writes = pools.up("primary").collect::<Vec<_>>();
    let writes = if writes.is_empty() { "nobody".to_owned() } else { writes.join(",") };
    format!("{writes} +{}", pools.up("replicas").count())
}

/// For each pool and each of its servers: how many of the answering HAProxys send clients there.
fn servers(status: &Status) -> Option<Table> {
    let proxies = status.nodes.iter().filter_map(|node| node.haproxy.as_ref()).collect::<Vec<_>>();
    let pools = &proxies.first()?.0;
    let members = pools.values().next()?.keys().collect::<Vec<_>>();
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["HAProxy"].into_iter().chain(members.iter().map(|name| name.as_str())));
    for pool in pools.keys() {
        let cell = |name: &&String| {
            let up = proxies.iter().filter(|proxy| proxy.up(pool).any(|server| server == **name));
            match up.count() {
                0 => "-".to_owned(),
                count => format!("up {count}/{}", proxies.len()),
            }
        };
        table.add_row(std::iter::once(pool.clone()).chain(members.iter().map(cell)));
    }
    Some(table)
}

fn remarks(node: &NodeStatus) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(
        node.refused.as_ref().map(|why| format!("{}: refused to start: {why}\n", node.name)),
    );
    remarks.extend(node.unreachable.as_ref().map(|why| format!("{}: {why}\n", node.name)));
    remarks.extend(
        (!node.failed_units.is_empty())
            .then(|| format!("{}: failed units: {}\n", node.name, node.failed_units.join(", "))),
    );
    remarks.extend(
        node.pending_restart
            .then(|| format!("{}: a changed parameter waits for a restart\n", node.name)),
    );
    remarks
}
