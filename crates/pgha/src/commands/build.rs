//! `build`: images and their manifest.

use pgha_core::cluster::Base;
use pgha_core::manifest::Layer;
use pgha_deploy::image::Builder;
use pgha_deploy::image::nixos::{self, NixOptions};
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
    let extra = if args.disk { Builder::disk_checks() } else { Vec::new() };
    super::preflight::require(workspace, &extra, false).await?;
    if args.verify_reproducible {
        let root = workspace.builder.verify_reproducible().await?;
        print::note(&format!("two builds of the package root are equal: sha256 {}", root.layer.sha256));
    }
    let mut manifest = workspace.builder.build(&workspace.cluster, &workspace.rendered, args.refresh).await?;
    if args.disk {
        workspace.builder.disks(&mut manifest).await?;
    }
    for image in &manifest.images {
        let (root, configuration) = (mb(&image.package_root), mb(&image.configuration));
        let (digest, role_set) = (image.digest(), &image.role_set);
        print::note(&format!("image {} for {role_set}: package root {root}, configuration {configuration}", digest.short()));
        if let Some(disk) = &image.disk {
            print::note(&format!("  disk {}: {}", mb(disk), disk.path));
        }
    }
    show(&manifest);
    Ok(())
}

async fn with_nix(workspace: &Workspace, args: &BuildArgs) -> Result<(), Failure> {
    if args.refresh {
        return Err(Failure::no("the NixOS base has no packages of today: its packages are pinned").hint("leave --refresh out"));
    }
    super::preflight::require_all(&nixos::checks().await)?;
    let options = NixOptions { nixpkgs: args.nixpkgs.clone(), rebuild: args.verify_reproducible };
    let manifest = workspace.builder.nixos(&workspace.cluster, &workspace.rendered, &options).await?;
    for image in &manifest.images {
        print::note(&format!("disk for {}: {}, {}", image.role_set, mb(&image.disk), image.disk.path));
    }
    show(&manifest);
    Ok(())
}

fn mb(layer: &Layer) -> String {
    format!("{:.1} MB", layer.bytes as f64 / 1e6)
}

fn show(manifest: &impl Serialize) {
    print::line(&serde_json::to_string_pretty(manifest).unwrap_or_default());
}
