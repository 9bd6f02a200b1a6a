//! Why a node could not be asked.

use pgha_platform::command::shortened;
use pgha_platform::sql::AuthorityError;
use pgha_platform::ssh::SshError;

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// SSH.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The secrets hold a certificate authority that cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// PostgreSQL of a node could not judge a configuration.
    #[error("PostgreSQL of {0} could not judge the configuration: {1}")]
    Unjudged(std::net::Ipv4Addr, String),
    /// A port of this machine could not be opened.
    #[error("cannot open a local port")]
    Tunnel(#[from] std::io::Error),
    /// A daemon did not answer.
    #[error("{daemon} of `{node}` did not answer")]
    Silent {
        /// The daemon.
        daemon: &'static str,
        /// Its node.
        node: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// A daemon answered something else than was expected.
    #[error("{daemon} of `{node}` gave an answer that pgha does not understand")]
    Unreadable {
        /// The daemon.
        daemon: &'static str,
        /// Its node.
        node: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// No node that was asked runs the daemon.
    #[error("no node that was asked runs {0}")]
    Absent(&'static str),
    /// The contract of a node cannot be read.
    #[error("the contract of {0} cannot be read")]
    Contract(std::net::Ipv4Addr, #[source] serde_json::Error),
    /// A daemon refused a request.
    #[error("{daemon} of `{node}` refused: {answer}")]
    Refused {
        /// The daemon.
        daemon: &'static str,
        /// Its node.
        node: String,
        /// Status and text of its answer.
        answer: String,
    },
}

/// Characters of a daemon's own words that are shown.
pub(crate) const ANSWER: usize = 1000;

impl NodeError {
    /// `text` is as long as the daemon likes. Only as much of it is kept as anyone would read.
    pub(crate) fn refused(
        daemon: &'static str,
        node: &str,
        status: reqwest::StatusCode,
        text: &str,
    ) -> Self {
        let answer = format!("{status}: {}", shortened(text.trim(), ANSWER));
        Self::Refused { daemon, node: node.to_owned(), answer }
    }
}

/// An error and its causes, as one line of a table.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
