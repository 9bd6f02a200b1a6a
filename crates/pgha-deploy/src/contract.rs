//! What the image of a node promises. It may be older than the cluster file.

use std::collections::BTreeMap;

use pgha_platform::ssh::Session;
use serde::Deserialize;

use crate::node_error::NodeError;

/// The parts of a node's `contract.json` that pgha goes by.
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
