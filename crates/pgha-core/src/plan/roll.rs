//! Rolling a formed cluster: replica by replica, the leader last.

use super::order::{degraded, every_node_has_a_server, observed, order, successor};
use super::turn::{
    QUICK_SECONDS, REJOIN_SECONDS, SHORT_SECONDS, cost, hold, is_strict, sick, switchover,
};
use super::wake::wake;
use super::{
    Action, Cost, Data, Desired, Gate, Refused, Step, copies, drift, dynamic, repair, takeover,
};
use crate::inventory::{Given, Inventory, Observed, Server};

/// After this many seconds a unit counts as up, however often it crashed before.
const STEADY_SECONDS: u32 = 31;

/// The steps, and whether more follow that need a cluster that is up.
pub(super) fn steps(
    desired: &Desired<'_>,
    world: &Inventory,
) -> Result<(Vec<Step>, bool), Refused> {
    every_node_has_a_server(desired, world)?;
    if let Some(steps) = repair::before_anything(desired, world)? {
        return Ok((steps, true));
    }
    if let Some(steps) = wake_all(desired, world).or_else(|| dynamic::cure(desired, world)) {
        return Ok((steps, true));
    }
    let observed = observed(world)?;
    let outdated = world.servers.iter().filter(|server| !desired.is_current(server));
    let outdated = outdated.collect::<Vec<_>>();
    if let Some(steps) = heal(desired, world, observed, &outdated) {
        return Ok((steps, true));
    }
    if outdated.is_empty() {
        // No gate looks at what was altered on a node. Its turn comes once no other node is sick.
        let more = !observed.altered.is_empty();
        return Ok((finish(desired, world, observed)?, more));
    }
    outdated.iter().try_for_each(|server| takeover::possible(desired, server))?;
    let order = order(desired, observed, &outdated)?;
    let Some((mut steps, in_etcd)) = dynamic::before_a_roll(desired, observed) else {
        return Ok(roll_and_change(desired, world, observed, &order));
    };
    let observed = Observed { dynamic: Some(in_etcd), pending: Vec::new(), ..observed.clone() };
    let (roll, more) = roll_and_change(desired, world, &observed, &order);
    steps.extend(roll);
    Ok((steps, more))
}

/// Powers on every server that is off, with what it should run. Absent: none is off.
fn wake_all(desired: &Desired<'_>, world: &Inventory) -> Option<Vec<Step>> {
    let off = world.servers.iter().filter(|server| !server.running).collect::<Vec<_>>();
    let fits = |server: &Server| takeover::possible(desired, server).is_ok();
    let is_old = |server: &Server| !desired.is_current(server) && fits(server);
    let change = |server: &Server| is_old(server).then(|| rebuild(desired, server));
    (!off.is_empty()).then(|| wake(desired, world, &off, change))
}

/// The steps that come before a roll if something is sick. Absent: none.
fn heal(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    outdated: &[&Server],
) -> Option<Vec<Step>> {
    if let Some(steps) = repair::of_what_runs(desired, observed) {
        return Some(steps);
    }
    let unproven = unproven(desired, world);
    let cures = copies::cures(desired, world, observed, &unproven);
    if !cures.is_empty() {
        return Some(cures);
    }
    if observed.unmet.is_empty() || unproven.is_empty() {
        return copies::wait(observed);
    }
    // An earlier run ended before this gate opened. It opens now, or its node goes back.
    let step = hand_over_from_unproven(desired, observed, &unproven).unwrap_or_else(|| {
        let gate = hold(desired, REJOIN_SECONDS).proving(unproven);
        Step::gate(gate.despite(sick(observed, outdated)))
    });
    Some(vec![step])
}

/// The roll and what follows it, as far as that is known in advance.
fn roll_and_change(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
    order: &[&Server],
) -> (Vec<Step>, bool) {
    let (mut steps, unproven) = (seal(world), unproven(desired, world));
    steps.extend(roll(desired, observed, order, unproven, |server| rebuild(desired, server)));
    // It may be unknown which node leads after the roll, and what PostgreSQL runs with then.
    let handed_over = handed_over(observed, order);
    let unknown = handed_over.is_some() && is_strict(observed) || !observed.pending.is_empty();
    if unknown && dynamic::restarts_follow(desired, observed) {
        return (steps, true);
    }
    let leader = match handed_over {
        Some(leader) if is_strict(observed) => leader.to_owned(),
        Some(leader) => successor(desired, order, leader),
        None => observed.leader.clone().unwrap_or_default(),
    };
    steps.extend(dynamic::steps(desired, observed, &leader));
    steps.push(Step::free(Action::Declare { missing: drift::missing(desired.cluster, observed) }));
    (steps, false)
}

/// Servers that run the desired image and seed but have not held a gate with them, because a run
/// was interrupted.
fn unproven(desired: &Desired<'_>, world: &Inventory) -> Vec<String> {
    let servers = world.servers.iter().filter(|server| !server.proven && server.formed);
    servers.filter(|server| desired.is_current(server)).map(|server| server.name.clone()).collect()
}

/// A leader is not taken back. So if only the leader is sick, with something that has yet to prove
/// itself, another node has to lead first.
fn hand_over_from_unproven(
    desired: &Desired<'_>,
    observed: &Observed,
    unproven: &[String],
) -> Option<Step> {
    let leader = observed.leader.as_ref().filter(|leader| unproven.contains(leader))?;
    let alone = observed.sick.iter().chain(&observed.lost).all(|sick| sick == leader);
    (alone && !observed.sick.is_empty()).then(|| switchover(desired, observed, &[], leader))
}

/// Seals the servers that a run left unsealed because it ended between two labels.
fn seal(world: &Inventory) -> Vec<Step> {
    let half = world.servers.iter().any(|server| !server.formed);
    half.then(|| Step::free(Action::Seal)).into_iter().collect()
}

/// Every server is current. What may be left: a proof, the dynamic configuration, and declared
/// objects.
fn finish(
    desired: &Desired<'_>,
    world: &Inventory,
    observed: &Observed,
) -> Result<Vec<Step>, Refused> {
    let mut steps = seal(world);
    let unproven = unproven(desired, world);
    if !unproven.is_empty() {
        steps.push(Step::gate(hold(desired, QUICK_SECONDS).proving(unproven)));
    }
    let leader = observed.leader.as_deref().unwrap_or_default();
    steps.extend(dynamic::steps(desired, observed, leader));
    let missing = drift::missing(desired.cluster, observed);
    if !missing.is_empty() {
        steps.push(Step::free(Action::Declare { missing }));
    }
    match (steps.is_empty(), observed.unmet.is_empty()) {
        (_, true) => Ok(steps),
        // Every copy is whole, and the change may repair just what clients miss.
        (false, false) if observed.sick.is_empty() && observed.lost.is_empty() => Ok(steps),
        (nothing_to_do, false) => {
            copies::none_beyond_cure(observed)?;
            if nothing_to_do && !observed.untaken.is_empty() {
                return Err(Refused::NotInForce { untaken: observed.untaken.clone() });
            }
            // Long enough that a unit in a crash loop does not pass for a healthy one.
            let held = if observed.altered.is_empty() { SHORT_SECONDS } else { STEADY_SECONDS };
            let wait = Step::gate(Gate::new(REJOIN_SECONDS, held));
            nothing_to_do.then(|| vec![wait]).ok_or_else(|| degraded(observed))
        }
    }
}

/// Takes the last roll back: only the servers that it reached. So this also undoes an interrupted
/// roll, and completes an interrupted rollback.
pub(super) fn back(desired: &Desired<'_>, world: &Inventory) -> Result<(Vec<Step>, bool), Refused> {
    every_node_has_a_server(desired, world)?;
    let newest = world.newest_generation();
    let back =
        world.servers.iter().filter(|server| server.generation == newest).collect::<Vec<_>>();
    if back.is_empty() {
        return Err(Refused::Undone);
    }
    if back.iter().any(|server| server.previous.is_none()) {
        return Err(Refused::NothingOlder);
    }
    let off = world.servers.iter().filter(|server| !server.running).collect::<Vec<_>>();
    if !off.is_empty() {
        let change = |server: &Server| back.contains(&server).then(|| revert(server));
        let steps = wake(desired, world, &off, change);
        let is_revert = |step: &&Step| matches!(step.action, Action::Revert { .. });
        // Without this, the next plan would find the roll before this one and undo that, too.
        let left = back.len() > steps.iter().filter(is_revert).count();
        return Ok((steps, left));
    }
    let observed = observed(world)?;
    let order = order(desired, observed, &back).map_err(|refused| match refused {
        Refused::NotHealthy { unmet, sick, .. } => Refused::NotHealthy { unmet, sick, begun: true },
        refused => refused,
    })?;
    Ok((roll(desired, observed, &order, Vec::new(), revert), false))
}

fn revert(server: &Server) -> Action {
    let Given { image, seed } = server.previous.as_ref().unwrap_or(&server.given).clone();
    Action::Revert { node: server.name.clone(), from: server.given.image.clone(), image, seed }
}

pub(super) fn again(desired: &Desired<'_>, world: &Inventory) -> Result<Vec<Step>, Refused> {
    every_node_has_a_server(desired, world)?;
    let other = |server: &&Server| !server.running || !desired.is_current(server);
    if let Some(server) = world.servers.iter().find(other) {
        return Err(Refused::NotCurrent { node: server.name.clone() });
    }
    let observed = observed(world)?;
    let order = order(desired, observed, &world.servers.iter().collect::<Vec<_>>())?;
    Ok(roll(desired, observed, &order, Vec::new(), |server| rebuild(desired, server)))
}

pub(super) fn rebuild(desired: &Desired<'_>, server: &Server) -> Action {
    Action::Rebuild {
        node: server.name.clone(),
        from: server.given.image.clone(),
        image: desired.images[&server.name].compared(),
        from_seed: server.given.seed.clone(),
        seed: desired.seeds[&server.name].compared(),
    }
}

/// The leader, if it has a turn and therefore hands over.
fn handed_over<'o>(observed: &'o Observed, order: &[&Server]) -> Option<&'o str> {
    let leader = observed.leader.as_deref()?;
    order.iter().any(|server| server.name == leader).then_some(leader)
}

/// The `unproven` nodes prove themselves at the first gate, which also checks the health of the
/// cluster.
fn roll(
    desired: &Desired<'_>,
    observed: &Observed,
    order: &[&Server],
    unproven: Vec<String>,
    action: impl Fn(&Server) -> Action,
) -> Vec<Step> {
    let mut steps = Vec::new();
    if observed.unmet.is_empty() {
        steps.push(Step::gate(hold(desired, QUICK_SECONDS).proving(unproven)));
    }
    for (turn, server) in order.iter().enumerate() {
        if observed.leads(&server.name) {
            steps.extend(hand_over(desired, observed, order, server));
        }
        let action = action(server);
        let new = action.gives_new().map(str::to_owned).into_iter().collect();
        let lost = observed.lost.contains(&server.name);
        let data = if lost { Data::PerhapsCopiedAnew } else { Data::Kept };
        let cost = cost(desired, observed, &server.name);
        steps.push(Step::new(action, Cost { data, ..cost }));
        let waiting = sick(observed, &order[turn + 1..]);
        steps.push(Step::gate(hold(desired, REJOIN_SECONDS).proving(new).despite(waiting)));
    }
    steps
}

fn hand_over(
    desired: &Desired<'_>,
    observed: &Observed,
    order: &[&Server],
    leader: &Server,
) -> [Step; 2] {
    let gate = Gate::new(QUICK_SECONDS, SHORT_SECONDS).despite(sick(observed, &[leader]));
    [switchover(desired, observed, order, &leader.name), Step::gate(gate)]
}
