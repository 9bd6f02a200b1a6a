//! One operator at a time, for the commands.

use pgha_deploy::exclusion::Exclusion;
pub(super) use pgha_deploy::exclusion::Unguarded;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::lease::Holder;
use pgha_platform::local::Local;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Keeps other operators from working on the cluster, for the command called `purpose`.
pub(super) fn exclusion<'e>(
    workspace: &'e Workspace,
    fleet: &'e Fleet,
    purpose: &str,
) -> Exclusion<'e, Local, Fleet> {
    Exclusion {
        provider: &workspace.provider,
        store: fleet,
        cluster: &workspace.cluster.name,
        holder: Holder::this(purpose),
    }
}

/// Runs `work` while no other operator works on the cluster.
pub(super) async fn exclusively<T>(
    workspace: &Workspace,
    fleet: &Fleet,
    purpose: &str,
    unguarded: Unguarded,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    exclusion(workspace, fleet, purpose).hold(unguarded, work).await?
}
