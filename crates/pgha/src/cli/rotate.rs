//! Arguments of `rotate`.

use clap::Args;

use super::YesArgs;

#[derive(Args)]
pub(crate) struct RotateArgs {
    /// What is to be new. Default: all of it.
    #[arg(value_enum)]
    pub(crate) what: Vec<Rotated>,
    /// Instead, a new password for this role of the cluster file.
    #[arg(long, value_name = "ROLE", conflicts_with = "what")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) yes: YesArgs,
}

/// What can be rotated, by name.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Rotated {
    /// Both certificate authorities, and every key they vouch for.
    Authorities,
    /// The operator's SSH key, and every node's own.
    Ssh,
    /// Passwords between pgha, Patroni and HAProxy, and the one of the statistics page.
    Passwords,
}
