//! `build`: images and their manifest.

use pgha_core::cluster::Base;
use pgha_core::manifest::{Disk, Image};
use pgha_deploy::image::nixos::NixOptions;
use pgha_deploy::image::{Builder, nix_checks};

use crate::cli::BuildArgs;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, args: &BuildArgs) -> Result<(), Failure> {
    match args.base.map_or(workspace.cluster.base, Base::from) {
        Base::Debian => debian(workspace, args).await,
        Base::Nixos => with_nix(workspace, args).await,
    }
}

async fn debian(workspace: &Workspace, args: &BuildArgs) -> Result<(), Failure> {
    let extra = if args.disk { Builder::disk_checks } else { Vec::new };
    super::preflight::require(workspace, extra, false).await?;
    if let Some(times) = args.verify_reproducible {
        let root = workspace.builder.verify_reproducible(times).await?;
        let sha256 = root.layer.sha256;
        print::note(&format!("{times} builds of the package root are equal: sha256 {sha256}"));
    }
    let mut manifest =
        workspace.builder.build(&workspace.cluster, &workspace.rendered, args.refresh).await?;
    if args.disk {
        workspace.builder.disks(&workspace.cluster, &mut manifest).await?;
    }
    manifest.images.iter().for_each(describe);
    if let Err(error) = workspace.builder.ask_for_updates().await {
        print::note(&error.to_string());
    }
    if let Some(updates) = workspace.builder.updates() {
        print::note(&updates);
    }
    print::json(&manifest);
    Ok(())
}

async fn with_nix(workspace: &Workspace, args: &BuildArgs) -> Result<(), Failure> {
    if args.refresh {
        return Err(Failure::no(
            "the NixOS base has no packages of today: its packages are pinned",
        )
        .hint("leave --refresh out"));
    }
    let rebuilds = args.verify_reproducible.map_or(0, |times| times - 1);
    let options = NixOptions { nixpkgs: args.nixpkgs.clone(), rebuilds };
    super::preflight::require_all(&nix_checks::checks(&options).await)?;
    let manifest =
        workspace.builder.nixos(&workspace.cluster, &workspace.rendered, &options).await?;
    manifest.images.iter().for_each(describe);
    print::json(&manifest);
    Ok(())
}

fn describe(image: &Image) {
    let layers = image.layers().map_or_else(String::new, |layers| {
        let (root, configuration) = (mb(layers.package_root.bytes), mb(layers.configuration.bytes));
        format!(": package root {root}, configuration {configuration}")
    });
    print::note(&format!("image {} for {}{layers}", image.digest().short(), image.role_set));
    if let Some(disk) = image.disk() {
        describe_disk(disk);
    }
}

fn describe_disk(disk: &Disk) {
    print::note(&format!(
        "  disk {}, {} compressed: {}",
        mb(disk.file.bytes),
        mb(disk.compressed),
        disk.file.path
    ));
    for content in &disk.contents {
        print::note(&format!("    {:>9}  {}", mb(content.bytes), content.name));
    }
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
