//! `status`: the cluster at one moment.

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, watch: bool, json: bool) -> Result<(), Failure> {
    let _ = (watch, json);
    let (_, fleet) = workspace.fleet().await?;
    let h = pgha_deploy::health::Health::observe(&fleet).await;
    print::line(&format!("{h:#?}"));
    for c in h.conditions(&workspace.cluster) {
        print::line(&format!("{c:?}"));
    }
    Ok(())
}
