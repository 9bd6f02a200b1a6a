//! One operator at a time: the provider's lock on this machine, and a lease in the cluster's etcd
//! against other machines.

use pgha_deploy::fleet::Fleet;
use pgha_deploy::lease::{Lease, LeaseError};
use pgha_deploy::observe;
use pgha_platform::Provider;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// What is to be done when etcd keeps no lease, so that pgha on another machine is not noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unguarded {
    /// Nothing: two at once could stop one node too many.
    Refuse,
    /// All the same: it may be what brings etcd back.
    GoOn,
}

/// Runs `work` while nobody else works on the cluster.
pub(super) async fn exclusively<T>(
    workspace: &Workspace,
    fleet: &Fleet,
    purpose: &str,
    unguarded: Unguarded,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let _lock = workspace.provider.lock(purpose)?;
    let lease = lease(workspace, fleet, purpose, unguarded).await?;
    let Some(lease) = lease else {
        return work.await;
    };
    tokio::select! {
        // The lease first: after a suspension not one more step may be done on a plan that another
        // may have overtaken.
        biased;
        // What is under way stops where it is; a later run goes on from there.
        () = lease.keep() => Err(ran_out()),
        result = work => {
            lease.release().await;
            result
        }
    }
}

fn ran_out() -> Failure {
    let why =
        "stopped: this pgha was suspended or did not reach etcd for 30 s, and its lease ran out";
    Failure::no(why).hint("another may have worked on the cluster since: see `pgha plan`, then run the same command again")
}

/// The lease, if the cluster is up enough to keep one.
///
/// # Errors
/// When somebody else has it, or nothing is to be done without it.
pub(super) async fn lease<'f>(
    workspace: &Workspace,
    fleet: &'f Fleet,
    purpose: &str,
    unguarded: Unguarded,
) -> Result<Option<Lease<'f>>, Failure> {
    let world = observe::servers(&workspace.provider).await?;
    // Before it is formed nobody else can know of it; while it is off it cannot keep a lease.
    if !world.servers.iter().any(|server| server.formed && server.running) {
        return Ok(None);
    }
    match Lease::take(fleet, &workspace.cluster, purpose).await {
        Ok(lease) => Ok(Some(lease)),
        Err(held @ LeaseError::Held(_)) => {
            let hint = "wait until it is done; if that machine is gone, its lease ends within 30 s";
            // As when the provider's lock is taken.
            Err(Failure::no(held.to_string()).hint(hint).exit_with(2))
        }
        Err(LeaseError::Node(error)) if unguarded == Unguarded::Refuse => {
            let why = "etcd keeps no lease now, so nobody could be kept from working on the cluster at the same time";
            let hint = format!(
                "nothing was done ({error}); see `pgha status`, then run the command again"
            );
            Err(Failure::no(why).hint(hint).exit_with(2))
        }
        Err(LeaseError::Node(error)) => {
            tracing::warn!(
                "etcd keeps no lease now, so pgha on another machine would not be noticed: {error}"
            );
            Ok(None)
        }
    }
}
