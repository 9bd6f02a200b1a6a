//! Rolling a formed cluster: wake what is off, then replica by replica, the leader last.

use serde_json::Value;

use super::{Action, Cost, Desired, Refused, Step, drift, dynamic, gate, step, takeover};
use crate::cluster::{Durability, Fault, Role};
use crate::inventory::{Inventory, Observed, Server};
use crate::render::durability;

/// Seconds a healthy cluster may take to say so.
const QUICK_SECONDS: u32 = 60;
/// Seconds a rebuilt node may take to be a full member again, a rewind or a new base backup
/// included.
const REJOIN_SECONDS: u32 = 240;
/// Seconds health must hold before the next node is touched: a crash loop shows itself in that
/// time.
const HELD_SECONDS: u32 = 10;

/// The steps, and whether more follow that need a cluster that is up.
pub(super) fn steps(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<(Vec<Step>, bool), Refused> {
    nothing_lost(desired, world)?;
    let outdated =
        world.servers.iter().filter(|server| !desired.is_current(server)).collect::<Vec<_>>();
    let off = world.servers.iter().filter(|server| !server.running).collect::<Vec<_>>();
    if !off.is_empty() {
        let changes = |server: &Server| {
            !desired.is_current(server) && takeover::possible(desired, server).is_ok()
        };
        return Ok((
            wake(world, &off, |server| changes(server).then(|| rebuild(desired, server))),
            true,
        ));
    }
    if let Some(cure) =
        world.observed.as_ref().and_then(|observed| dynamic::cure(desired, observed))
    {
        return Ok((cure, true));
    }
    let observed = observed(world)?;
    let leader = observed.leader.as_deref().unwrap_or_default();
    if outdated.is_empty() {
        return Ok((finish(desired, world, observed, leader)?, false));
    }
    outdated.iter().try_for_each(|server| takeover::possible(desired, server))?;
    let order = order(desired, observed, &outdated)?;
    let mut steps = seal(world);
    let dynamic_first = dynamic::raises_ttl(desired, observed);
    let in_force = if dynamic_first { Some(desired.dynamic) } else { observed.dynamic.as_ref() };
    let roll = roll(desired, observed, in_force, &order, |server| rebuild(desired, server));
    if dynamic_first {
        // A guard of the new image waits for the new ttl: while the lock still ends earlier it
        // would fence too late.
        steps.extend(dynamic::steps(desired, observed, leader));
        steps.extend(roll);
    } else {
        steps.extend(roll);
        // Once the roll is through, the leader is another.
        let moved = order.iter().any(|server| server.name == leader);
        let leader = if moved { successor(desired, &order, leader) } else { leader.to_owned() };
        steps.extend(dynamic::steps(desired, observed, &leader));
    }
    steps.push(step(
        Action::Declare { missing: drift::missing(desired.cluster, observed) },
        Cost::None,
    ));
    Ok((steps, false))
}

/// A run that ended between two labels left some servers unsealed.
fn seal(world: &Inventory) -> Vec<Step> {
    let half = world.servers.iter().any(|server| !server.formed);
    half.then(|| step(Action::Seal, Cost::None)).into_iter().collect()
}

/// Everything current: what may be left is the dynamic configuration, and what is declared.
fn finish(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    leader: &str,
) -> Result<Vec<Step>, Refused> {
    let mut steps = seal(world);
    steps.extend(dynamic::steps(desired, observed, leader));
    let missing = drift::missing(desired.cluster, observed);
    if !missing.is_empty() {
        steps.push(step(Action::Declare { missing }, Cost::None));
    }
    match (steps.is_empty(), observed.unmet.is_empty()) {
        (_, true) => Ok(steps),
        (true, false) => Ok(vec![gate(REJOIN_SECONDS, 3)]),
        (false, false) => Err(degraded(observed)),
    }
}

/// Takes the last roll back: the servers it reached, no others. So a roll or a rollback that was
/// interrupted is undone too.
pub(super) fn back(desired: &Desired<'_>, world: &Inventory) -> Result<(Vec<Step>, bool), Refused> {
    nothing_lost(desired, world)?;
    let newest = world.newest_generation();
    let back =
        world.servers.iter().filter(|server| server.generation == newest).collect::<Vec<_>>();
    if back.is_empty() {
        return Err(Refused::new(
            "the last roll is undone",
            "nothing of it is left; change the cluster file, then `pgha apply`",
        ));
    }
    if back.iter().any(|server| server.previous_image.is_none()) {
        return Err(Refused::new(
            "the nodes have nothing older to go back to",
            "change the cluster file, then `pgha apply`",
        ));
    }
    let off = world.servers.iter().filter(|server| !server.running).collect::<Vec<_>>();
    if !off.is_empty() {
        let steps = wake(world, &off, |server| back.contains(&server).then(|| revert(server)));
        // Without this a second look would find the roll before and undo that too.
        let left = back.len()
            > steps.iter().filter(|step| matches!(step.action, Action::Revert { .. })).count();
        return Ok((steps, left));
    }
    let observed = observed(world)?;
    let order = order(desired, observed, &back)?;
    Ok((roll(desired, observed, observed.dynamic.as_ref(), &order, revert), false))
}

fn revert(server: &Server) -> Action {
    let image = server.previous_image.clone().unwrap_or_else(|| server.image.clone());
    Action::Revert { node: server.name.clone(), from: server.image.clone(), image }
}

pub(super) fn again(desired: &Desired<'_>, world: &Inventory) -> Result<Vec<Step>, Refused> {
    nothing_lost(desired, world)?;
    if let Some(server) =
        world.servers.iter().find(|server| !server.running || !desired.is_current(server))
    {
        return Err(Refused::new(
            format!("`{}` is off or not what the cluster file says", server.name),
            "run `pgha apply` first",
        ));
    }
    let observed = observed(world)?;
    let order = order(desired, observed, &world.servers.iter().collect::<Vec<_>>())?;
    Ok(roll(desired, observed, observed.dynamic.as_ref(), &order, |server| {
        rebuild(desired, server)
    }))
}

fn rebuild(desired: &Desired<'_>, server: &Server) -> Action {
    Action::Rebuild {
        node: server.name.clone(),
        from: server.image.clone(),
        image: desired.images[&server.name].clone(),
        from_seed: server.seed.clone(),
        seed: desired.seeds[&server.name].clone(),
    }
}

/// A formed cluster that lacks a server has lost a copy. A new empty one must not pretend to be the
/// old member.
fn nothing_lost(desired: &Desired<'_>, world: &Inventory) -> Result<(), Refused> {
    match desired.cluster.nodes.iter().find(|node| world.server(&node.name).is_none()) {
        None => Ok(()),
        Some(node) => Err(Refused::new(
            format!(
                "node `{}` is in the file, but the cluster was formed without it or has lost it",
                node.name
            ),
            "this version can neither add nor replace nodes of a formed cluster: make the file name the nodes that there are, or destroy and start again",
        )),
    }
}

/// A server that is off serves nobody, so what is to change of it changes right away. But only one
/// may come back with something else, and only while all others do their work: a bad image must
/// never reach a second node.
fn wake(
    world: &Inventory,
    off: &[&Server],
    change: impl Fn(&Server) -> Option<Action>,
) -> Vec<Step> {
    let is_off = |name: &String| off.iter().any(|server| server.name == *name);
    let others_work =
        world.observed.as_ref().is_some_and(|observed| observed.sick.iter().all(is_off));
    let mut steps = vec![step(Action::CreateNetwork, Cost::None)];
    steps.extend(off.iter().map(|server| {
        let change = change(server).filter(|_| off.len() == 1 && others_work);
        step(change.unwrap_or_else(|| Action::PowerOn { node: server.name.clone() }), Cost::None)
    }));
    steps.push(gate(REJOIN_SECONDS, 3));
    steps
}

fn observed(world: &Inventory) -> Result<&Observed, Refused> {
    match &world.observed {
        Some(observed) if observed.leader.is_some() => Ok(observed),
        Some(observed) if !observed.stuck.is_empty() => Err(Refused::new(
            format!("no node leads: PostgreSQL of {} does not start", observed.stuck.join(", ")),
            "see `pgha logs NODE patroni`; if a parameter is the cause, correct it in the cluster file and run the command again",
        )),
        _ => Err(Refused::new(
            "nobody says that a node leads",
            "see `pgha status` and `pgha doctor`",
        )),
    }
}

/// The sick node first if it is the only one and to be changed anyway; then the others; the leader
/// last.
fn order<'w>(
    desired: &Desired<'_>,
    observed: &Observed,
    servers: &[&'w Server],
) -> Result<Vec<&'w Server>, Refused> {
    let is_sick = |server: &&Server| observed.sick.contains(&server.name);
    let is_leader = |server: &&Server| observed.leader.as_ref() == Some(&server.name);
    let curable = observed.sick.len() == 1
        && servers.iter().any(|server| is_sick(server) && !is_leader(server));
    if !observed.unmet.is_empty() && !curable {
        return Err(degraded(observed));
    }
    let candidates = desired.cluster.nodes_with(Role::Postgres).count();
    if candidates < 2 {
        return Err(Refused::new(
            "the leader is the only PostgreSQL node",
            "nobody could take over while it is rebuilt",
        ));
    }
    let mut order = servers.to_vec();
    order.sort_by_key(|server| (is_leader(server), !is_sick(server), server.name.clone()));
    Ok(order)
}

fn degraded(observed: &Observed) -> Refused {
    let sick = if observed.sick.is_empty() {
        String::new()
    } else {
        format!(" (look at {})", observed.sick.join(", "))
    };
    let reason = format!("the cluster is not healthy: {}{sick}", observed.unmet.join("; "));
    Refused::new(
        reason,
        "nothing is rolled through a cluster that could not bear the loss of another node: see `pgha status`, then plan again; if the last roll broke it, `pgha rollback` takes that back",
    )
}

/// `in_force` is the dynamic configuration by the time of the switchover.
fn roll(
    desired: &Desired<'_>,
    observed: &Observed,
    in_force: Option<&Value>,
    order: &[&Server],
    action: impl Fn(&Server) -> Action,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if observed.unmet.is_empty() {
        steps.push(gate(QUICK_SECONDS, HELD_SECONDS));
    }
    for server in order {
        if observed.leader.as_ref() == Some(&server.name) {
            let stop =
                desired.cluster.timing.write_stop(Fault::Switchover).worst_seconds.ceil() as u32;
            let strict = in_force.map(durability) == Some(Durability::Strict);
            let to = (!strict).then(|| successor(desired, order, &server.name));
            steps.push(step(
                Action::Switchover { from: server.name.clone(), to },
                Cost::WritesStop(stop),
            ));
            steps.push(gate(QUICK_SECONDS, 3));
        }
        steps.push(step(action(server), Cost::Sessions));
        steps.push(gate(REJOIN_SECONDS, HELD_SECONDS));
    }
    steps
}

/// The replica that was changed last, for it has held its gate; without one, the first other node.
fn successor(desired: &Desired<'_>, order: &[&Server], leader: &str) -> String {
    let stores = |name: &str| {
        desired.cluster.node(name).is_some_and(|node| node.role_set.has(Role::Postgres))
            && name != leader
    };
    let changed = order.iter().rev().map(|server| server.name.as_str()).find(|name| stores(name));
    let any = desired.cluster.nodes.iter().map(|node| node.name.as_str()).find(|name| stores(name));
    changed.or(any).unwrap_or(leader).to_owned()
}
