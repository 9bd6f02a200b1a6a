//! Changes of the dynamic configuration: Patroni applies them, some only after a restart of
//! PostgreSQL.

use super::{Action, Cost, Desired, Gate, Step};
use crate::cluster::{Durability, Fault, Role};
use crate::dynamic::{Dynamic, NOT_LESS_ON_STANDBY};
use crate::inventory::{Inventory, Observed, Pending, UNTOLD};

/// Seconds PostgreSQL may take to be back after a restart.
const RESTART_SECONDS: u32 = 120;

/// `leader` is the node that leads when these steps begin.
pub(super) fn steps(desired: &Desired<'_>, observed: &Observed, leader: &str) -> Vec<Step> {
    let Some(old) = changed(desired, observed) else {
        return pending(desired, observed, leader);
    };
    let set = restore(observed).chain([set(old, desired.dynamic)]);
    if !old.needs_restart(desired.dynamic) {
        // Restarts that an earlier change still waits for stay in the plan.
        let waiting = pending(desired, observed, leader);
        return set.chain([gate()]).chain(waiting).collect();
    }
    let shrinks = shrinks(old, desired.dynamic, &of(observed, leader));
    set.chain(restarts(desired, desired.dynamic, leader, shrinks, |_| true)).collect()
}

/// Restores configuration files of members that are not as Patroni wrote them.
pub(super) fn restore(observed: &Observed) -> impl Iterator<Item = Step> {
    let known = |(_, differs): &(&String, &Vec<String>)| {
        !differs.iter().any(|line| line.starts_with(UNTOLD))
    };
    observed.untaken.iter().filter(known).map(|(node, differs)| {
        let (node, differs) = (node.clone(), differs.clone());
        Step::free(Action::Restore { node, differs })
    })
}

/// The steps before a roll: new access lines and more connections. A rebuilt node and its poolers may need both, and neither needs
/// another image. There are none while a node is sick: it would not take the change, and only its turn in the roll may cure it.
/// Also returns what is in etcd afterwards. Absent: nothing comes before.
pub(super) fn before_a_roll(
    desired: &Desired<'_>,
    observed: &Observed,
) -> Option<(Vec<Step>, Dynamic)> {
    let old = observed.dynamic.as_ref().filter(|_| observed.sick.is_empty())?;
    let first = old.with_access_of(desired.dynamic).with_more_of(desired.dynamic);
    // An earlier run may have ended before the restarts.
    let is_due = first != *old || observed.pending.iter().any(raises);
    let leader = observed.leader.as_deref().filter(|_| is_due)?;
    let sooner = Desired { dynamic: &first, ..desired.clone() };
    Some((steps(&sooner, observed, leader), first))
}

/// Whether PostgreSQL has to restart before the desired dynamic configuration is in force.
pub(super) fn restarts_follow(desired: &Desired<'_>, observed: &Observed) -> bool {
    let changed = changed(desired, observed);
    !observed.pending.is_empty() || changed.is_some_and(|old| old.needs_restart(desired.dynamic))
}

/// Replaces a configuration with which PostgreSQL does not start, or with which the cluster has
/// never been healthy. This must work while the cluster is not healthy. Writing it restarts no
/// PostgreSQL; the rest is planned once the cluster is whole. Absent: nothing to cure, or nothing
/// to cure it with.
pub(super) fn cure(desired: &Desired<'_>, world: &Inventory) -> Option<Vec<Step>> {
    let observed = world.observed.as_ref()?;
    // pgha does not undo an operator's emergency change unasked: a pause, or durability given up so
    // that writes go on.
    let old = changed(desired, observed)
        .filter(|old| !observed.paused && old.durability() == desired.dynamic.durability())?;
    let may_be_the_cause = !observed.unmet.is_empty() && world.is_unproven(old);
    if observed.stuck.is_empty() && !may_be_the_cause {
        return None;
    }
    let set = std::iter::once(set(old, desired.dynamic));
    Some(set.chain(restart_hung(desired, observed)).chain([gate()]).collect())
}

/// Restarts each Patroni whose PostgreSQL does not answer it: such a Patroni never gets as far as
/// applying a new configuration. The leader comes last.
pub(super) fn restart_hung(desired: &Desired<'_>, observed: &Observed) -> Vec<Step> {
    let dynamic = observed.dynamic.as_ref().unwrap_or(desired.dynamic);
    let leads = |node: &String| observed.leads(node);
    let restart = |node: &String| {
        let (node, leads) = (node.clone(), leads(node));
        let cost = cost_of_restart(desired, dynamic, &node, leads);
        Step::new(Action::RestartPatroni { node, leads }, cost)
    };
    // Under async, a slow restart of the leader would promote a replica that lacks rows.
    let may = |node: &&String| !leads(node) || dynamic.durability() != Durability::Async;
    let mut hung = observed.hung.iter().filter(may).collect::<Vec<_>>();
    hung.sort_by_key(|node| leads(node));
    hung.into_iter().map(restart).collect()
}

fn cost_of_restart(desired: &Desired<'_>, dynamic: &Dynamic, node: &str, leads: bool) -> Cost {
    if leads {
        let stop = desired.cluster.write_stop(Fault::PostgresKilled);
        Cost::writes_stop(stop.worst_seconds)
    } else {
        Cost::of_stopped(desired.cluster, dynamic.durability(), node)
    }
}

/// The dynamic configuration in etcd, if it is not the desired one.
fn changed<'o>(desired: &Desired<'_>, observed: &'o Observed) -> Option<&'o Dynamic> {
    observed.dynamic.as_ref().filter(|old| *old != desired.dynamic)
}

fn set(old: &Dynamic, new: &Dynamic) -> Step {
    Step::free(Action::SetDynamic { changes: old.diff(new), values: new.clone() })
}

pub(super) fn gate() -> Step {
    Step::gate(Gate::new(RESTART_SECONDS, 3))
}

/// The restarts that still have to follow an interrupted change, or a change made outside pgha.
pub(super) fn pending(desired: &Desired<'_>, observed: &Observed, leader: &str) -> Vec<Step> {
    let waits = |name: &str| observed.pending.iter().any(|pending| pending.node == name);
    let dynamic = observed.dynamic.as_ref().unwrap_or(desired.dynamic);
    let primary_first = of(observed, leader).into_iter().any(lowers);
    restarts(desired, dynamic, leader, primary_first, waits)
}

fn of<'o>(observed: &'o Observed, node: &str) -> Vec<&'o Pending> {
    observed.pending.iter().filter(|pending| pending.node == node).collect()
}

fn lowers(pending: &Pending) -> bool {
    values(pending).is_some_and(|(old, new)| new < old)
}

fn raises(pending: &Pending) -> bool {
    values(pending).is_some_and(|(old, new)| new > old)
}

/// For a parameter in `NOT_LESS_ON_STANDBY`: the value PostgreSQL runs with, and the value it was given.
fn values(pending: &Pending) -> Option<(i64, i64)> {
    let matters = NOT_LESS_ON_STANDBY.contains(&pending.parameter.as_str());
    let (old, new) = (pending.old.parse().ok()?, pending.new.parse().ok()?);
    matters.then_some((old, new))
}

/// `dynamic` is the configuration in force when the restarts begin.
fn restarts(
    desired: &Desired<'_>,
    dynamic: &Dynamic,
    leader: &str,
    primary_first: bool,
    which: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let leads = |name: &str| name == leader;
    let names = desired.cluster.nodes_with(Role::Postgres).map(|node| node.name.clone());
    let mut names = names.filter(|name| which(name)).collect::<Vec<_>>();
    names.sort_by_key(|name| leads(name) != primary_first);
    let one = |node: String| {
        let leads = leads(&node);
        let cost = cost_of_restart(desired, dynamic, &node, leads);
        [Step::new(Action::Restart { node, leads }, cost), gate()]
    };
    names.into_iter().flat_map(one).collect()
}

/// Whether the leader gets a smaller value of a parameter in `NOT_LESS_ON_STANDBY`. It may never
/// have applied what is in etcd: then it runs with the old value in `pending`.
fn shrinks(old: &Dynamic, new: &Dynamic, pending: &[&Pending]) -> bool {
    let runs_with = |name: &str| {
        let waits = pending.iter().find(|pending| pending.parameter == name);
        waits.map_or_else(|| old.number(name), |pending| pending.old.parse().ok())
    };
    let pairs = NOT_LESS_ON_STANDBY.iter().map(|name| runs_with(name).zip(new.number(name)));
    pairs.flatten().any(|(old, new)| new < old)
}
