//! `verify`: breaks things under load.

use std::process::ExitCode;

use crate::cli::VerifyArgs;
use crate::failure::Failure;
use crate::workspace::Workspace;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Scenario {
    LeaderPowerOff,
}

pub(super) async fn run(_: &Workspace, _: &VerifyArgs) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
