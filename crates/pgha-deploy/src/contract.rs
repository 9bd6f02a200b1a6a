//! What the image of a node promises. It may be older than the cluster file.

use std::collections::BTreeMap;

use pgha_platform::ssh::{Session, SshError};
use serde::Deserialize;

use crate::node_error::NodeError;

/// The parts of a node's `contract.json` that pgha uses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Contract {
    /// Units that run.
    pub(crate) units: Vec<String>,
    /// Ports where sessions of SQL clients begin, by name.
    #[serde(default)]
    pub(crate) doors: BTreeMap<String, u16>,
    /// The durability that HAProxy's checks were made for.
    #[serde(default)]
    pub(crate) durability: String,
}

/// What was changed in the image and the seed of the node behind `session` since its boot. An image of an older pgha does not say.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn altered(session: &Session) -> Result<Vec<String>, SshError> {
    let ask = ["/bin/sh", "/etc/pgha/lib/pgha-contract", "altered"];
    let said = session.output(&ask, b"").await?.stdout;
    Ok(said.lines().filter_map(|line| line.strip_prefix("altered: ")).map(str::to_owned).collect())
}

impl Contract {
    /// Reads the contract of the node behind `session`.
    ///
    /// # Errors
    /// When it does not answer, or its contract makes no sense.
    pub(crate) async fn read(session: &Session) -> Result<Self, NodeError> {
        let text = session.run(&["cat", "/etc/pgha/contract.json"], b"").await?;
        serde_json::from_str(&text).map_err(|error| NodeError::Contract(session.address(), error))
    }
}
