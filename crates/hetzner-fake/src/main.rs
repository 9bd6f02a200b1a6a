//! The fake as a program, for clients that are not written in Rust.
#![allow(clippy::print_stdout, reason = "where it listens is what it is asked for")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hetzner_fake::{Fake, Options};

/// A fake of the Hetzner Cloud API on loopback. Prints where it listens.
#[derive(Parser)]
struct Arguments {
    /// The port; any, where it is not given.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The token that it takes.
    #[arg(long, default_value = "fake-token")]
    token: String,
    /// How long an action takes, in milliseconds.
    #[arg(long, default_value_t = 20)]
    pace: u64,
    /// Directory of one server's hardware, for a rescue system that runs beside it.
    #[arg(long)]
    hardware: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let Arguments { port, token, pace, hardware } = Arguments::parse();
    let fake =
        Fake::start(Options { port, token, pace: Duration::from_millis(pace), hardware }).await?;
    println!("{}", fake.url);
    tokio::signal::ctrl_c().await
}
