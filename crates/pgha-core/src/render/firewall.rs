//! The rules of a node's firewall: what its services declare for their ports.

use serde::Serialize;

use crate::cluster::{Cluster, Role, RoleSet};
use crate::service::{self, From, Limit, SERVICES};

/// The context of the template.
#[derive(Serialize)]
pub(super) struct Rules {
    limits: Vec<Limit>,
    opens: Vec<Opens>,
    /// Ports, on any node, that only root and daemons may connect to.
    private: Vec<u16>,
}

/// Ports that some addresses may connect to.
#[derive(Serialize)]
struct Opens {
    /// Absent: the addresses of the nodes, which are a named set.
    from: Option<Vec<String>>,
    ports: Vec<u16>,
}

pub(super) fn rules(cluster: &Cluster, role_set: &RoleSet) -> Rules {
    let services = service::services(cluster, role_set).collect::<Vec<_>>();
    let opens = services.iter().flat_map(|service| (service.opens)(cluster));
    let opens = opens.map(|open| Opens { from: addresses(cluster, open.from), ports: open.ports });
    let mut private = SERVICES.iter().flat_map(|any| (any.private)(cluster)).collect::<Vec<_>>();
    private.sort_unstable();
    Rules {
        limits: services.iter().flat_map(|service| (service.limits)(cluster)).collect(),
        // If the file names no network, no address may connect.
        opens: opens
            .filter(|open| open.from.as_ref().is_none_or(|from| !from.is_empty()))
            .collect(),
        private,
    }
}

fn addresses(cluster: &Cluster, from: From) -> Option<Vec<String>> {
    let networks = match from {
        From::Nodes => return None,
        From::Routers => {
            let routers = cluster.nodes_with(Role::Haproxy);
            return Some(routers.map(|node| node.address.to_string()).collect());
        }
        From::Clients => &cluster.network.clients,
        From::DirectClients => &cluster.network.direct_clients,
        From::Operators => &cluster.network.operators,
    };
    Some(networks.iter().map(ToString::to_string).collect())
}
