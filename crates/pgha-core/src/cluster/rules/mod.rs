//! The rules a cluster file must obey, and the reason for each.
//!
//! Every rule runs, even after another has failed, so that all mistakes are shown at once.

mod access;
mod base;
mod defaults;
mod hba;
mod names;
mod network;
mod parameters;
mod pools;
mod timing;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_spanned::Spanned;

use super::{Base, Cluster, Database, Durability, Haproxy, Node, Postgresql, ROUTES, Role, volume};
use crate::diagnostic::Diagnostic;
use crate::spec::Spec;

/// What the rules found so far.
#[derive(Default)]
pub(super) struct Remarks(Vec<Diagnostic>);

impl Remarks {
    fn error(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Diagnostic::error(span, message, label).help(help));
    }

    fn warning(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.0.push(Diagnostic::warning(span, message, label).help(help));
    }
}

/// Applies every rule. The cluster is absent only where a value could not be read at all.
pub(super) fn check(spec: &Spec) -> (Option<Cluster>, Vec<Diagnostic>) {
    let mut remarks = Remarks::default();
    names::check(spec, &mut remarks);
    let network = network::check(spec, &mut remarks);
    let nodes = network::nodes(spec, network.as_ref(), &mut remarks);
    let durability = *value_or(&spec.durability.mode, Durability::default()).get_ref();
    // Counting makes no sense while a node is unreadable: its own error is enough.
    if nodes.len() == spec.node.get_ref().len()
        && nodes.iter().all(|node| node.role_set.iter().next().is_some())
    {
        roles(spec, &nodes, durability, &mut remarks);
    }
    let timing = timing::check(spec, &mut remarks);
    let haproxy = haproxy(spec, durability, &mut remarks);
    let base = base(spec, &mut remarks);
    let parameters = parameters::check(spec, durability, base, &nodes, &mut remarks);
    let (users, databases) = access::check(spec, &mut remarks);
    let declared = (&users[..], &databases[..]);
    let pgbouncer = pools::check(spec, &parameters, &nodes, &haproxy, declared, &mut remarks);
    let cluster =
        network.filter(|_| nodes.len() == spec.node.get_ref().len()).map(|network| Cluster {
            name: spec.cluster.name.get_ref().clone(),
            provider: spec.cluster.provider,
            postgresql: Postgresql {
                major: *spec.cluster.postgresql.get_ref(),
                open_limits: volume::open(spec),
                parameters,
                hba: spec.postgresql.hba.iter().map(|line| line.get_ref().clone()).collect(),
                users,
                databases,
            },
            durability,
            preset: spec.failover.preset,
            timing,
            failsafe: spec.failover.failsafe.unwrap_or(true),
            guard: spec.failover.guard.unwrap_or(true),
            maximum_lag_on_failover: spec.failover.maximum_lag_on_failover.unwrap_or(1 << 20),
            pgbouncer,
            haproxy,
            network,
            sysctl: sysctl(spec),
            base,
            size_budget_mb: spec.image.size_budget_mb,
            local_state_dir: local_state_dir(spec),
            nodes,
        });
    (cluster, remarks.0)
}

fn sysctl(spec: &Spec) -> BTreeMap<String, i64> {
    spec.os.sysctl.iter().map(|(key, value)| (key.get_ref().clone(), *value)).collect()
}

fn local_state_dir(spec: &Spec) -> String {
    value_or(&spec.provider.local.state_dir, "/var/lib/pgha-local".to_owned()).into_inner()
}

/// The file's value, or the default with an empty span.
pub(super) fn value_or<T: Clone>(value: &Option<Spanned<T>>, default: T) -> Spanned<T> {
    value.clone().unwrap_or_else(|| Spanned::new(0..0, default))
}

fn roles(spec: &Spec, nodes: &[Node], durability: Durability, remarks: &mut Remarks) {
    let count = |role| nodes.iter().filter(|node| node.role_set.has(role)).count();
    let at = spec.node.span();
    let (members, databases) = (count(Role::Etcd), count(Role::Postgres));
    if members < 3 || members % 2 == 0 {
        let why = "two members lose quorum when one fails, and an even number tolerates no more failures than one less: use 3 or 5";
        remarks.error(
            at.clone(),
            format!("{members} nodes have the role etcd"),
            "3 or 5 are needed",
            why,
        );
    }
    if databases < 2 {
        remarks.error(
            at.clone(),
            format!("{databases} nodes have the role postgres"),
            "at least 2 are needed",
            "a replica takes over when the leader fails",
        );
    } else if durability == Durability::Strict && databases < 3 {
        let why = "strict waits for one replica always, so the loss of the only one stops all writes: add a node or use quorum";
        remarks.error(
            at.clone(),
            "strict durability with one replica",
            "at least 3 postgres nodes are needed",
            why,
        );
    }
    if count(Role::Haproxy) == 0 {
        remarks.error(
            at,
            "no node has the role haproxy",
            "at least 1 is needed",
            "clients reach the primary through its poolers",
        );
    }
}

/// NixOS images are disks for machines, and every provider so far runs containers.
fn base(spec: &Spec, remarks: &mut Remarks) -> Base {
    let base = value_or(&spec.image.base, Base::default());
    if *base.get_ref() == Base::Nixos {
        let help = "leave it out here, and build NixOS disks with `pgha build --base nixos`";
        remarks.error(
            base.span(),
            "local nodes boot the Debian base",
            "not for provider `local`",
            help,
        );
    }
    *base.get_ref()
}

fn haproxy(spec: &Spec, durability: Durability, remarks: &mut Remarks) -> Haproxy {
    let section = &spec.haproxy;
    let ports = [
        ("primary_port", value_or(&section.primary_port, 5000)),
        ("replica_port", value_or(&section.replica_port, 5001)),
        ("sync_port", value_or(&section.sync_port, 5002)),
        ("direct_port", value_or(&section.direct_port, 5010)),
        ("direct_replica_port", value_or(&section.direct_replica_port, 5011)),
        ("stats_port", value_or(&section.stats_port, 7000)),
    ];
    unique(&ports, remarks);
    let [primary, replica, sync, direct, direct_replica, stats] =
        ports.map(|(_, port)| port.into_inner());
    if durability == Durability::Async
        && let Some(port) = &section.sync_port
    {
        remarks.error(
            port.span(),
            "`sync_port` under async durability",
            "no replica is synchronous",
            "remove it, or use quorum or strict",
        );
    }
    Haproxy {
        primary_port: primary,
        replica_port: replica,
        sync_port: (durability != Durability::Async).then_some(sync),
        direct_port: direct,
        direct_replica_port: direct_replica,
        stats_port: stats,
        max_replica_lag_mb: section.max_replica_lag_mb.unwrap_or(16),
        replica_fallback: section.replica_fallback,
        maxconn: section.maxconn.unwrap_or(4000),
    }
}

/// Ports a node listens on whatever the file says.
const FIXED_PORTS: [(u16, &str); 6] = [
    (22, "SSH"),
    (2379, "etcd clients"),
    (2380, "etcd peers"),
    (2382, "etcd's JSON gateway"),
    (5432, "PostgreSQL"),
    (8008, "Patroni"),
];

fn unique(ports: &[(&'static str, Spanned<u16>)], remarks: &mut Remarks) {
    let mut taken: BTreeMap<u16, (&str, Range<usize>)> =
        FIXED_PORTS.iter().map(|(port, owner)| (*port, (*owner, 0..0))).collect();
    taken.extend(ROUTES.map(|(_, port)| (port, ("the poolers' way to HAProxy", 0..0))));
    for (key, port) in ports {
        if let Some((owner, other)) = taken.insert(*port.get_ref(), (key, port.span())) {
            // If a default collides with a line of the file, the error is at that line.
            let span = if port.span().is_empty() { other } else { port.span() };
            let message = format!("port {} is used twice on a node", port.get_ref());
            remarks.error(
                span,
                message,
                format!("of both {owner} and {key}"),
                format!("give `{key}` another port"),
            );
        }
    }
}
