//! Looks at this machine before anything is changed, and installs what is missing when it may.

use pgha_deploy::image::Builder;
use pgha_platform::command::is_root;
use pgha_platform::{Check, Command, Provider};

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Every check of the builder and the provider.
pub(super) async fn checks(workspace: &Workspace) -> Vec<Check> {
    let mut checks = workspace.provider.checks().await;
    checks.extend(Builder::checks());
    checks
}

/// What `psql`, `ssh` and `logs` call.
pub(super) fn clients() -> Vec<Check> {
    let programs = [("psql", "postgresql-client"), ("ssh", "openssh-client")];
    programs.map(|(program, package)| Check::installed(program, package)).into()
}

/// Fails with every problem at once, those that `extra` finds among them. With `install`, Debian
/// packages that cure a problem are installed first, and then all is looked at again.
pub(super) async fn require(
    workspace: &Workspace,
    extra: fn() -> Vec<Check>,
    install: bool,
) -> Result<(), Failure> {
    let mut problems = problems(workspace, extra).await;
    let packages = packages(&problems);
    if is_root()
        && !packages.is_empty()
        && (install
            || print::confirm(&format!("Install the Debian packages {}?", packages.join(", "))))
    {
        apt_install(&packages).await?;
        problems = self::problems(workspace, extra).await;
    }
    require_all(&problems)
}

/// Fails with every problem among `checks`.
pub(super) fn require_all(checks: &[Check]) -> Result<(), Failure> {
    if checks.iter().all(|check| check.problem.is_none()) {
        return Ok(());
    }
    for check in checks {
        if let Some(problem) = &check.problem {
            let text = format!("{}: {}\n  cure: {}", check.name, problem.what, problem.cure);
            print::marked(&print::red("not ready:"), &text);
        }
    }
    Err(Failure::no("this machine is not ready; nothing was changed"))
}

async fn problems(workspace: &Workspace, extra: fn() -> Vec<Check>) -> Vec<Check> {
    let found = checks(workspace).await.into_iter().chain(extra());
    found.filter(|check| check.problem.is_some()).collect()
}

fn packages(problems: &[Check]) -> Vec<String> {
    let mut packages = problems
        .iter()
        .filter_map(|check| check.problem.as_ref())
        .flat_map(|p| p.packages.clone())
        .collect::<Vec<_>>();
    packages.sort();
    packages.dedup();
    packages
}

async fn apt_install(packages: &[String]) -> Result<(), Failure> {
    tracing::info!("installing {}", packages.join(", "));
    let apt = || Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    apt().arg("update").run().await?;
    apt().args(["install", "--yes", "--no-install-recommends"]).args(packages).run().await?;
    Ok(())
}
