//! Powers on servers that are off, before anything else.

use super::turn::{REJOIN_SECONDS, SHORT_SECONDS, hold, sick};
use super::{Action, Desired, Gate, Step};
use crate::inventory::{Inventory, Server};

/// A server that is off serves no client, so its change is made right away. But only one may come
/// back with something else, and only while all others work: a bad image must never reach a second
/// node.
pub(super) fn wake(
    desired: &Desired<'_>,
    world: &Inventory,
    off: &[&Server],
    change: impl Fn(&Server) -> Option<Action>,
) -> Vec<Step> {
    let is_off = |name: &String| off.iter().any(|server| server.name == *name);
    let others_work =
        world.observed.as_ref().is_some_and(|observed| observed.sick.iter().all(is_off));
    let one_alone = off.len() == 1 && others_work;
    let mut steps = vec![Step::free(Action::CreateNetwork)];
    let mut proves = Vec::new();
    for server in off {
        let given = change(server).filter(|_| one_alone);
        let wakes = || Action::PowerOn { node: server.name.clone() };
        let is_new = match &given {
            Some(given) => given.gives_new().is_some(),
            None => server.formed && !server.proven,
        };
        // While other nodes are missing, it would not be clear which node is at fault. And etcd may
        // grant no lease under which anything could be taken back.
        proves.extend((is_new && one_alone).then(|| server.name.clone()));
        steps.push(Step::free(given.unwrap_or_else(wakes)));
    }
    let gate = match proves.is_empty() {
        true => Gate::new(REJOIN_SECONDS, SHORT_SECONDS),
        false => hold(desired, REJOIN_SECONDS).proving(proves),
    };
    // Nodes that run and have yet to change are not waited for: their turn may be their cure.
    let turns = world.servers.iter().filter(|server| server.running && change(server).is_some());
    let turns = turns.collect::<Vec<_>>();
    let waiting = world.observed.as_ref().map(|observed| sick(observed, &turns));
    steps.push(Step::gate(gate.despite(waiting.unwrap_or_default())));
    steps
}
