//! One operator at a time: the provider's lock on this machine, and a lease in the cluster's etcd against other machines.

use std::sync::Arc;

use pgha_deploy::fleet::Fleet;
use pgha_deploy::lease::{Lease, LeaseError};
use pgha_deploy::observe;
use pgha_platform::Provider;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Runs `work` while nobody else works on the cluster. A cluster whose etcd does not answer has only the lock.
pub(super) async fn exclusively<T>(
    workspace: &Workspace,
    fleet: &Arc<Fleet>,
    purpose: &str,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let _lock = workspace.provider.lock(purpose)?;
    let lease = lease(workspace, fleet, purpose).await?;
    let result = work.await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    result
}

async fn lease(workspace: &Workspace, fleet: &Arc<Fleet>, purpose: &str) -> Result<Option<Lease>, Failure> {
    let world = observe::servers(&workspace.provider).await?;
    // Before it is formed nobody else can know of it; while it is off it cannot keep a lease.
    if !world.servers.iter().any(|server| server.formed && server.running) {
        return Ok(None);
    }
    match Lease::take(fleet, &workspace.cluster, purpose).await {
        Ok(lease) => Ok(Some(lease)),
        Err(held @ LeaseError::Held(_)) => {
            let hint = "wait until it is done; if that machine is gone, its lease ends within 30 s";
            Err(Failure::no(held.to_string()).hint(hint))
        }
        Err(LeaseError::Node(error)) => {
            tracing::warn!("etcd keeps no lease now, so pgha on another machine would not be noticed: {error}");
            Ok(None)
        }
    }
}
