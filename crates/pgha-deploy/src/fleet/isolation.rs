//! A fault: a node that cannot reach the other nodes, and that they cannot reach. It is made on the node itself, so it is the same wherever
//! nodes run.

use std::time::Duration;

use pgha_core::cluster::Node;

use super::Fleet;
use super::timer::Timer;
use crate::node_error::NodeError;

const NFT: &str = "/etc/pgha/bin/nft";
const TABLE: &str = "pgha_isolation";
/// The longest isolation. A fault of `verify` lasts a minute or two.
const LONGEST: Duration = Duration::from_secs(15 * 60);

impl Fleet {
    /// Silently drops every packet between a node and the other nodes. Clients and the operator still reach it.
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
        // The timer comes first: the node must never be isolated without it.
        timer().start(session).await?;
        let rules = format!("{}table inet {TABLE} {{\n{input}\n{output}\n}}\n", removal());
        session.run(&[NFT, "-f", "-"], rules.as_bytes()).await?;
        Ok(())
    }

    /// Ends the isolation. Does nothing to a node that is not isolated.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn heal(&self, node: &Node) -> Result<(), NodeError> {
        let session = &self.link(node).await?.session;
        session.run(&[NFT, "-f", "-"], removal().as_bytes()).await?;
        Ok(timer().stop(session).await?)
    }
}

/// Declares the table first, because nft fails to delete a table that does not exist.
fn removal() -> String {
    format!("table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// The timer that ends the isolation if pgha dies.
fn timer() -> Timer {
    let command = [NFT, "delete", "table", "inet", TABLE].map(str::to_owned).into();
    Timer { name: "pgha-isolation-ends", after: LONGEST, command }
}
