//! What a service says of the node's firewall.

use serde::Serialize;

/// Ports that some may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Open {
    /// To whom.
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
    /// Those of them that have poolers.
    Routers,
    /// `network.clients`.
    Clients,
    /// `network.direct_clients`.
    DirectClients,
    /// `network.operators`.
    Operators,
}

/// How many connections one address may hold. A connection costs whoever opens it nothing, and a daemon a thread, a process or a
/// place: no address gets them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Limit {
    /// To these ports.
    pub(crate) ports: Vec<u16>,
    /// So many.
    pub(crate) most: u32,
    /// To all of them together, instead of to each.
    pub(crate) together: bool,
}

/// How many of these places one address may hold: four fifths, so that none gets them all.
pub(super) fn four_fifths(places: u32) -> u32 {
    (places - places / 5).max(1)
}
