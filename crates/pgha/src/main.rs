//! The `pgha` command: parses arguments, calls the other crates, prints, exits.
//!
//! stdout carries data only; prose and progress go to stderr. Exit codes: 0 done; 1 the answer is
//! no (invalid, refused, verdict failed); 2 could not finish.

mod clean;
mod cli;
mod cluster_file;
mod commands;
mod cure;
mod failure;
mod print;
mod progress;
mod workspace;

use std::process::ExitCode;

use clap::Parser;
use pgha_platform::umask;

fn main() -> ExitCode {
    // Before any file is made, and before there is another thread.
    umask::set_aside();
    // Several dependencies may bring a crypto provider of their own. With one installed, none is
    // guessed at run time.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = cli::Cli::parse();
    progress::start(cli.verbose);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::broken(&error).report(),
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
