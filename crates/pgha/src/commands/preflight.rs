//! Checks this machine before anything is changed, and installs what is missing if allowed.

use std::time::Duration;

use pgha_deploy::image::Builder;
use pgha_platform::command::is_root;
use pgha_platform::{Check, Command, CommandError, Provider};

use tokio::time::Instant;

use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// How long another apt may run: security updates of a new machine take minutes.
const APT_BUSY: Duration = Duration::from_secs(900);
const PAUSE: Duration = Duration::from_secs(2);

/// Every check of the builder and the provider.
pub(super) async fn checks(workspace: &Workspace) -> Vec<Check> {
    let mut checks = workspace.provider.checks().await;
    checks.extend(Builder::checks());
    checks
}

/// The programs that `psql`, `ssh` and `logs` call.
pub(super) fn clients() -> Vec<Check> {
    let programs = [("psql", "postgresql-client"), ("ssh", "openssh-client")];
    programs.map(|(program, package)| Check::installed(program, package)).into()
}

/// Fails with every problem at once, including those that `extra` finds. With `install`, Debian
/// packages that cure a problem are installed first, and then everything is checked again.
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
    apt_get(&["update"]).await?;
    let packages = packages.iter().map(String::as_str).collect::<Vec<_>>();
    apt_get(&[&["install", "--yes", "--no-install-recommends"], &packages[..]].concat()).await?;
    Ok(())
}

/// Runs apt-get when no other apt runs: a new machine first installs its updates. Does not use
/// apt's own `DPkg::Lock::Timeout`: in Debian 12 that waits for one of its three locks, and says
/// nothing meanwhile. apt takes its locks before it changes anything, so it can be started again.
async fn apt_get(arguments: &[&str]) -> Result<(), CommandError> {
    let until = Instant::now() + APT_BUSY;
    let mut is_told = false;
    loop {
        let error = match apt(arguments).run().await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() < until && lock(&error).is_some() => error,
            Err(error) => return Err(error),
        };
        if let Some(lock) = lock(&error).filter(|_| !is_told) {
            tracing::info!("waiting for another apt: {lock}");
        }
        is_told = true;
        tokio::time::sleep(PAUSE).await;
    }
}

fn apt(arguments: &[&str]) -> Command {
    let apt = Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    // Its messages are parsed.
    apt.env("LC_ALL", "C.UTF-8").arg("--quiet").args(arguments)
}

/// What apt says about a lock that another process holds.
fn lock(error: &CommandError) -> Option<&str> {
    let CommandError::Failed { stderr, .. } = error else { return None };
    let said = stderr.lines().find(|line| line.contains("Could not get lock"))?;
    Some(said.trim_start_matches("E: "))
}
