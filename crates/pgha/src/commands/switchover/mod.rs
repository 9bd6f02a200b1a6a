//! `switchover`: a planned change of leader.

mod stop;

use pgha_core::cluster::{Fault, Role};
use pgha_deploy::daemons::Daemons;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::health::{Candidate, Health};

use self::stop::Stop;
use super::exclusive::{Unguarded, exclusively};
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, to: Option<&str>) -> Result<(), Failure> {
    if let Some(name) = to {
        let node = workspace.node(name)?;
        if !node.role_set.has(Role::Postgres) {
            return Err(Failure::no(format!("`{name}` does not run PostgreSQL"))
                .hint("name a node with the role postgres"));
        }
    }
    let (_, fleet) = workspace.fleet().await?;
    let work = to_another(workspace, &fleet, to);
    exclusively(workspace, &fleet, "pgha switchover", Unguarded::Refuse, work).await
}

async fn to_another(workspace: &Workspace, fleet: &Fleet, to: Option<&str>) -> Result<(), Failure> {
    let health = Health::observe(fleet).await;
    let from = leads(workspace, &health)?;
    if to == Some(from.as_str()) {
        print::note(&format!("{from} leads already; nothing was done"));
        return Ok(());
    }
    let candidate = candidate(workspace, &health, to)?;
    let old = workspace.node(&from)?;
    let slots = fleet.slots(old).await;
    if !slots.is_empty() {
        print::note(&format!(
            "{} will not have the replication slots {}",
            candidate.name(),
            slots.join(", ")
        ));
    }
    let work = async { Ok(fleet.switchover(old, &candidate).await?) };
    let stop = Stop::watch(fleet, work).await?;
    let promised = workspace.cluster.write_stop(Fault::Switchover).worst_seconds;
    print::note(&format!("{} leads now; {}", candidate.name(), stop.report(promised)));
    Ok(())
}

/// The node that is to take over from the leader: `wanted`, or the best candidate.
pub(super) fn candidate(
    workspace: &Workspace,
    health: &Health,
    wanted: Option<&str>,
) -> Result<Candidate, Failure> {
    health.candidate(&workspace.cluster, wanted).map_err(|why| {
        Failure::no(format!("nobody can take over from the leader at once: {why}"))
            .hint("see `pgha status`; wait until a replica has caught up, then run it again")
    })
}

/// Name of the leader.
pub(super) async fn leader(workspace: &Workspace, fleet: &Fleet) -> Result<String, Failure> {
    leads(workspace, &Health::observe(fleet).await)
}

fn leads(workspace: &Workspace, health: &Health) -> Result<String, Failure> {
    let missing = || {
        Failure::no(format!("cluster `{}` has no leader", workspace.cluster.name))
            .hint("see `pgha status`")
    };
    health.leader().map(|member| member.name.clone()).ok_or_else(missing)
}
