//! The command line.

mod build;
mod rotate;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use build::{BaseName, BuildArgs};
pub(crate) use rotate::{RotateArgs, Rotated};
pub(crate) use verify::VerifyArgs;

/// Highly available PostgreSQL from one cluster file, on immutable node images.
#[derive(Parser)]
#[command(
    version,
    after_help = "Start with:\n  pgha init > cluster.toml\n  pgha up\n  pgha verify\n\nExit codes: 0 done, 1 the answer is no, 2 could not finish."
)]
pub(crate) struct Cli {
    /// The cluster file.
    #[arg(
        short,
        long,
        global = true,
        default_value = "cluster.toml",
        env = "PGHA_FILE",
        value_name = "FILE"
    )]
    pub(crate) file: PathBuf,
    /// Where built images are kept.
    #[arg(
        long,
        global = true,
        default_value = "/var/cache/pgha",
        env = "PGHA_CACHE",
        value_name = "DIR"
    )]
    pub(crate) cache: PathBuf,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a commented cluster file to stdout.
    #[command(after_help = "Example:\n  pgha init --name shop > cluster.toml")]
    Init {
        /// Name of the cluster.
        #[arg(long, default_value = "demo")]
        name: String,
    },
    /// Check the cluster file and show every mistake at once.
    Check,
    /// Write every file the cluster file becomes.
    #[command(
        after_help = "Example:\n  pgha render --out tree && less tree/etcd-haproxy-postgres/etc/pgha/haproxy.cfg"
    )]
    Render {
        /// Directory to write to. It must be empty, or hold an earlier rendering.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Build one image for each role set and print the manifest.
    Build(BuildArgs),
    /// Write a node's seed (its identity and secrets), for a machine that pgha does not start
    /// itself.
    #[command(
        after_help = "Example, for a server whose user data is set by hand:\n  pgha seed node-1 --make-secrets --new-volume --out node-1.user-data"
    )]
    Seed {
        /// The node.
        node: String,
        /// File to write: text that can be user data. It holds secrets and gets mode 0600.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Let the node format a blank disk for its data. Only for its very first boot.
        #[arg(long)]
        new_volume: bool,
        /// First make the secrets that are missing, and sign anew the certificates that do not fit.
        /// Only for machines alone: where `apply` starts the nodes, it does that.
        #[arg(long)]
        make_secrets: bool,
    },
    /// Show what `apply` would do and what each step costs.
    #[command(
        after_help = "Example, for a nightly look for drift:\n  pgha plan --detailed-exitcode || mail -s drift you@example.org"
    )]
    Plan {
        /// Exit with 0 when there is nothing to do, 2 when there is, 1 for every failure.
        #[arg(long)]
        detailed_exitcode: bool,
        #[command(flatten)]
        images: ImagesArgs,
        #[command(flatten)]
        json: JsonArgs,
    },
    /// Carry the plan out. Safe to repeat after any interruption.
    #[command(
        after_help = "Example, to roll exactly what was built and tried before:\n  pgha build > images.json\n  pgha apply --manifest images.json"
    )]
    Apply(ApplyArgs),
    /// Check, build, plan, apply, wait until healthy, and say how to connect.
    Up(YesArgs),
    /// Show members, roles, lag, images, etcd, HAProxy and certificates.
    #[command(
        after_help = "Example:\n  pgha status --json | jq '.nodes[] | select(.role == \"leader\").name'"
    )]
    Status(StatusArgs),
    /// Show the sessions of PostgreSQL, and the clients behind them.
    #[command(
        after_help = "PostgreSQL and its log know the node that a session comes through. This asks the poolers and HAProxys, too.\nWith pools of transactions a session may go to another client meanwhile: the client is who had it a moment ago.\n\nExample:\n  pgha sessions --json | jq '.sessions[] | select(.state == \"idle in transaction\")'"
    )]
    Sessions(SessionsArgs),
    /// Open psql on the primary, through a pooler.
    #[command(
        after_help = "Examples:\n  pgha psql\n  pgha psql -- -c 'select 1'\n  pgha psql --replica -d app\n  pgha psql --direct -- -c 'listen news'"
    )]
    Psql(PsqlArgs),
    /// Open a shell on a node, or run a program there.
    #[command(
        after_help = "Examples:\n  pgha ssh node-1\n  pgha ssh node-1 -- journalctl -u patroni -n 50"
    )]
    Ssh {
        /// The node.
        node: String,
        /// Program and arguments.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Show the journal of a node.
    Logs {
        /// The node.
        node: String,
        /// Only this unit.
        unit: Option<String>,
        /// Go on showing new lines.
        #[arg(long)]
        follow: bool,
        /// How many lines.
        #[arg(short = 'n', long, default_value_t = 100)]
        lines: u32,
    },
    /// Hand the leadership to a replica, and wait until writes reach it.
    Switchover {
        /// The new leader. Default: the replica Patroni finds best.
        #[arg(long, value_name = "NODE")]
        to: Option<String>,
    },
    /// Break things under load and report how long writes stopped and whether an acknowledged row
    /// was lost.
    Verify(VerifyArgs),
    /// Take every node back to the image and seed it had before, replica by replica, the leader
    /// last.
    Rollback(YesArgs),
    /// Give every node new keys and passwords, one node after the other, while the cluster runs.
    #[command(
        after_help = "Without names: all three, in two runs. The first brings new SSH keys and passwords, and lets every node trust\nthe new authorities. Then every client that has a copy of ca.crt needs the one that is there now. The second run\nbrings new keys and certificates, and ends the trust in the old authorities.\n\nExamples:\n  pgha rotate                 begins, or goes on\n  pgha rotate ssh             the operator's key and the nodes' own\n  pgha rotate --role app      a new password, in force at once"
    )]
    Rotate(RotateArgs),
    /// Delete every node with its data. The secrets stay.
    Destroy(YesArgs),
    /// Look at this machine, and at every running node, without changing anything.
    #[command(
        after_help = "Examples:\n  pgha doctor                what local clusters need, and every node's contract\n  pgha doctor --base nixos   also what `build --base nixos` needs"
    )]
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the cluster file.
    #[command(after_help = "Example:\n  pgha schema > cluster.schema.json")]
    Schema,
    /// Print the completions of a shell.
    #[command(after_help = "Example:\n  pgha completions bash > /etc/bash_completion.d/pgha")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// Also look for what images of this base need. Default: the cluster file's.
    #[arg(long, value_enum)]
    pub(crate) base: Option<BaseName>,
    /// A nixpkgs of your own in place of the pinned one, for the NixOS base.
    #[arg(long, env = "PGHA_NIXPKGS", value_name = "DIR")]
    pub(crate) nixpkgs: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct JsonArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct SessionsArgs {
    /// Also those of the cluster's own roles: Patroni, replication, lookups of passwords, looks of
    /// pgha, and a person who is `postgres`.
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Args)]
pub(crate) struct YesArgs {
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Args)]
pub(crate) struct PsqlArgs {
    /// Role to log in as. Default: the first of the cluster file.
    #[arg(short = 'U', long)]
    pub(crate) user: Option<String>,
    /// Database. Default: the first of the cluster file.
    #[arg(short, long)]
    pub(crate) database: Option<String>,
    /// Connect to a replica.
    #[arg(long)]
    pub(crate) replica: bool,
    /// Connect past the poolers.
    #[arg(long)]
    pub(crate) direct: bool,
    /// Arguments for psql itself.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Args)]
pub(crate) struct StatusArgs {
    /// Show it again every two seconds until interrupted.
    #[arg(long, conflicts_with_all = ["json", "exit_code"])]
    pub(crate) watch: bool,
    /// Exit with 1 when the cluster is not healthy.
    #[arg(long)]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

#[derive(Args)]
pub(crate) struct ImagesArgs {
    /// Take these images, as `pgha build` printed them, instead of building.
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) yes: YesArgs,
    #[command(flatten)]
    pub(crate) images: ImagesArgs,
    /// Change nodes also if they could not get back what they run now, because its image is gone.
    #[arg(long)]
    pub(crate) no_way_back: bool,
}
