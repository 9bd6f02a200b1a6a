//! One file for each command or family of commands.

mod apply;
mod build;
mod connect;
mod doctor;
mod exclusive;
mod file;
mod preflight;
mod prepared;
mod rotate;
mod seed;
mod sessions;
mod status;
mod switchover;
mod verify;

use std::process::ExitCode;

use clap::CommandFactory;
use pgha_deploy::seed::BlankDisk;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Runs the command and gives the exit code of success.
pub(crate) async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Init { name } => file::init(name)?,
        Command::Schema => print::json(&pgha_core::schema()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "pgha", &mut script);
            print::data(&String::from_utf8_lossy(&script));
        }
        _ => return run_on_file(&cli, Workspace::load(&cli)?).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the file becomes, wherever the nodes will run.
async fn run_on_file(cli: &Cli, workspace: Workspace) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Check => file::check(&workspace),
        Command::Render { out } => file::render(&workspace, out)?,
        Command::Build(args) => build::run(&workspace, args).await?,
        Command::Seed { node, out, new_volume, make_secrets } => {
            let blank = if *new_volume { BlankDisk::Format } else { BlankDisk::Refuse };
            seed::run(&workspace, node, out, blank, *make_secrets).await?
        }
        _ => return run_on_cluster(cli, workspace.fitted()?).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn run_on_cluster(cli: &Cli, workspace: Workspace) -> Result<ExitCode, Failure> {
    match &cli.command {
        Command::Plan { detailed_exitcode, images, json } => {
            return apply::plan(&workspace, images, json.json, *detailed_exitcode).await;
        }
        Command::Apply(args) => apply::apply(&workspace, args).await?,
        Command::Up(yes) => apply::up(&workspace, yes.yes).await?,
        Command::Rollback(yes) => apply::rollback(&workspace, yes.yes).await?,
        Command::Rotate(args) => rotate::run(&workspace, args).await?,
        Command::Destroy(yes) => apply::destroy(&workspace, yes.yes).await?,
        Command::Status(args) => return status::run(&workspace, args).await,
        Command::Sessions(args) => sessions::run(&workspace, args).await?,
        Command::Psql(arguments) => return connect::psql(&workspace, arguments).await,
        Command::Ssh { node, arguments } => return connect::ssh(&workspace, node, arguments).await,
        Command::Logs { node, unit, follow, lines } => {
            return connect::logs(&workspace, node, unit.as_deref(), *follow, *lines).await;
        }
        Command::Switchover { to } => switchover::run(&workspace, to.as_deref()).await?,
        Command::Verify(args) => return verify::run(&workspace, args).await,
        Command::Doctor(args) => return doctor::run(&workspace, args).await,
        Command::Init { .. }
        | Command::Schema
        | Command::Completions { .. }
        | Command::Check
        | Command::Render { .. }
        | Command::Build(_)
        | Command::Seed { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}
