//! What a service declares for the node's firewall.

use serde::Serialize;

/// Ports that some addresses may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Open {
    /// Who may connect.
    pub(crate) from: From,
    /// The ports.
    pub(crate) ports: Vec<u16>,
}

/// Who may connect. The file says which networks clients and operators have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// The cluster's nodes.
    Nodes,
    /// The nodes that have poolers.
    Routers,
    /// `network.clients`.
    Clients,
    /// `network.direct_clients`.
    DirectClients,
    /// `network.operators`.
    Operators,
}

/// How many connections one address may hold. A connection costs its client nothing, but costs a
/// daemon a thread, a process or a slot: no address may take them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    /// To these ports.
    pub(crate) ports: Vec<u16>,
    /// The limit.
    pub(crate) most: u32,
    /// Whether the limit holds for all these ports together, instead of for each.
    pub(crate) together: bool,
}

/// How many of these places one address may hold: four fifths, so that no address takes them all.
pub(super) fn four_fifths(places: u32) -> u32 {
    (places - places / 5).max(1)
}
