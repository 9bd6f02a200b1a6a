//! What goes wrong with SSH.

use std::net::Ipv4Addr;

/// A connection that failed, or a program that did.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// A key of the secrets directory cannot be read.
    #[error("cannot read the SSH key for {0}")]
    Key(Ipv4Addr, #[source] russh::keys::Error),
    /// Nothing answered in time.
    #[error("{0} did not answer on port 22 within {1} s")]
    Silent(Ipv4Addr, u64),
    /// The node answered, but no session came about.
    #[error("cannot open an SSH session to {0}")]
    Session(Ipv4Addr, #[source] russh::Error),
    /// No program of the node listens there.
    #[error("nobody listens on port {1} of {0}")]
    Closed(Ipv4Addr, u16),
    /// Whoever answered is not the node, or the node has another seed.
    #[error(
        "{0} shows another SSH host key than the secrets directory has for it: another machine, or secrets of another day"
    )]
    Stranger(Ipv4Addr),
    /// The node refused the operator's key.
    #[error("{0} refused the operator's SSH key")]
    Denied(Ipv4Addr),
    /// The program failed, or the connection broke before it ended.
    #[error("`{call}` on {address} failed ({status}): {stderr}")]
    Failed {
        /// The node.
        address: Ipv4Addr,
        /// Program and arguments.
        call: String,
        /// Exit status, or what happened instead.
        status: String,
        /// The last lines of stderr.
        stderr: String,
    },
}
