//! `build`: images and their manifest.

use pgha_core::cluster::Base;
use pgha_core::manifest::Disk;
use pgha_deploy::image::nixos::NixOptions;
use pgha_deploy::image::{Builder, nix_checks};
use serde::Serialize;

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
    for image in &manifest.images {
        let (root, configuration) = (mb(image.package_root.bytes), mb(image.configuration.bytes));
        let (digest, role_set) = (image.digest(), &image.role_set);
        print::note(&format!(
            "image {} for {role_set}: package root {root}, configuration {configuration}",
            digest.short()
        ));
        if let Some(disk) = &image.disk {
            describe(disk);
        }
    }
    if let Err(error) = workspace.builder.ask_for_updates().await {
        print::note(&error.to_string());
    }
    if let Some(updates) = workspace.builder.updates() {
        print::note(&updates);
    }
    show(&manifest);
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
    for image in &manifest.images {
        print::note(&format!("image for {}", image.role_set));
        describe(&image.disk);
    }
    show(&manifest);
    Ok(())
}

fn describe(disk: &Disk) {
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

fn show(manifest: &impl Serialize) {
    print::json(manifest);
}
