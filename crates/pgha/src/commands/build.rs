//! `build`: images and their manifest.

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, refresh: bool, verify_reproducible: bool) -> Result<(), Failure> {
    super::preflight::require(workspace, false).await?;
    if verify_reproducible {
        let root = workspace.builder.verify_reproducible().await?;
        print::note(&format!("two builds of the package root are equal: sha256 {}", root.layer.sha256));
    }
    let manifest = workspace.builder.build(&workspace.cluster, &workspace.rendered, refresh).await?;
    for image in &manifest.images {
        let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let (root, configuration) = (mb(image.package_root.bytes), mb(image.configuration.bytes));
        print::note(&format!(
            "image {} for {}: package root {root}, configuration {configuration}",
            image.digest().short(),
            image.role_set
        ));
    }
    print::line(&serde_json::to_string_pretty(&manifest).unwrap_or_default());
    Ok(())
}
