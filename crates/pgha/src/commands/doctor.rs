//! `doctor`: this machine, and the contract of every running node.

use std::process::ExitCode;

use pgha_core::cluster::Base;
use pgha_deploy::health::Health;
use pgha_deploy::image::nix_checks;
use pgha_deploy::image::nixos::NixOptions;
use pgha_deploy::observe;

use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

pub(super) async fn run(workspace: &Workspace, args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut healthy = true;
    let mut checks = super::preflight::checks(workspace).await;
    if args.base.map_or(workspace.cluster.base, Base::from) == Base::Nixos {
        checks.extend(
            nix_checks::checks(&NixOptions { nixpkgs: args.nixpkgs.clone(), rebuilds: 0 }).await,
        );
    }
    for check in checks {
        healthy &= check.problem.is_none();
        match check.problem {
            None => print::line(&format!("ok      {}", check.name)),
            Some(problem) => print::line(&format!(
                "problem {}: {}; cure: {}",
                check.name, problem.what, problem.cure
            )),
        }
    }
    if !observe::servers(&workspace.provider).await?.servers.is_empty() {
        healthy &= nodes(workspace).await? & cluster(workspace).await?;
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What must be true of a healthy cluster, one by one.
async fn cluster(workspace: &Workspace) -> Result<bool, Failure> {
    let (_, fleet) = workspace.fleet().await?;
    let conditions = Health::observe(&fleet).await.conditions(&workspace.cluster);
    for condition in &conditions {
        let verdict = if condition.met { "ok     " } else { "problem" };
        print::line(&format!("{verdict} cluster: {}", condition.text));
    }
    Ok(conditions.iter().all(|condition| condition.met))
}

/// Runs the contract test that is part of every image.
async fn nodes(workspace: &Workspace) -> Result<bool, Failure> {
    let (_, fleet) = workspace.fleet().await?;
    let mut healthy = true;
    for node in &fleet.nodes {
        let link = match fleet.link(node).await {
            Ok(link) => link,
            Err(error) => {
                print::line(&format!("problem node {}: {error}", node.name));
                healthy = false;
                continue;
            }
        };
        let output = link.session.output(&["/bin/sh", "/etc/pgha/lib/pgha-contract"], b"").await?;
        let kept = output.status == Some(0);
        healthy &= kept;
        let verdict = if kept { "ok     " } else { "problem" };
        print::line(&format!("{verdict} node {}: contract", node.name));
        output
            .stdout
            .lines()
            .chain(output.stderr.lines())
            .for_each(|line| print::line(&format!("        {line}")));
    }
    Ok(healthy)
}
