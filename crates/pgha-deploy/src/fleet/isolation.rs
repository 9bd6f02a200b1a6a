//! A fault: a node that no other reaches, and that reaches no other. Made on the node itself, so that it is the same
//! wherever nodes run.

use pgha_core::cluster::Node;
use pgha_platform::ssh::{Session, SshError};

use super::Fleet;
use crate::node_error::NodeError;

const NFT: &str = "/etc/pgha/bin/nft";
const TABLE: &str = "pgha_isolation";
/// Ends it should pgha die.
const TIMER: &str = "pgha-isolation-ends";
/// A fault of `verify` lasts for a minute or two.
const LONGEST: &str = "--on-active=15min";

impl Fleet {
    /// Drops every packet between a node and the others, without a word to either. Whoever is no node still reaches it:
    /// clients, the operator.
    ///
    /// # Errors
    /// When the node does not answer, or takes no rule.
    pub async fn isolate(&self, node: &Node) -> Result<(), NodeError> {
        let session = &self.link(node).await?.session;
        let others = self.nodes.iter().filter(|other| other.name != node.name);
        let others = others.map(|other| other.address.to_string()).collect::<Vec<_>>().join(", ");
        let hook = |hook: &str, end: &str| {
            let begin = format!("chain {hook} {{ type filter hook {hook} priority raw;");
            format!("{begin} ip {end} {{ {others} }} drop; }}")
        };
        let (input, output) = (hook("input", "saddr"), hook("output", "daddr"));
        // First: no moment may be without it.
        start_timer(session).await?;
        let rules = format!("{}table inet {TABLE} {{\n{input}\n{output}\n}}\n", removal());
        session.run(&[NFT, "-f", "-"], rules.as_bytes()).await?;
        Ok(())
    }

    /// Ends that. Does nothing to another node.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn heal(&self, node: &Node) -> Result<(), NodeError> {
        let session = &self.link(node).await?.session;
        session.run(&[NFT, "-f", "-"], removal().as_bytes()).await?;
        stop_timer(session).await?;
        Ok(())
    }
}

/// nft deletes only what is there.
fn removal() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

async fn start_timer(session: &Session) -> Result<(), SshError> {
    stop_timer(session).await?;
    let timer = ["systemd-run", "--quiet", "--collect", "--unit", TIMER, LONGEST];
    let end = [NFT, "delete", "table", "inet", TABLE];
    session.run(&[&timer[..], &end].concat(), b"").await.map(drop)
}

async fn stop_timer(session: &Session) -> Result<(), SshError> {
    let units = [format!("{TIMER}.timer"), format!("{TIMER}.service")];
    // What is not there cannot be stopped, and says so.
    session.output(&["systemctl", "stop", &units[0], &units[1]], b"").await.map(drop)
}
