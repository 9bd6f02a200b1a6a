//! The rules of a node's firewall: what its services say of their ports.

use serde::Serialize;

use crate::cluster::{Cluster, Role, RoleSet};
use crate::service::{self, From, Limit, SERVICES};

/// What the template is made from.
#[derive(Serialize)]
pub(super) struct Rules {
    limits: Vec<Limit>,
    opens: Vec<Opens>,
    /// Ports, on whichever node, that only root and daemons may connect to.
    private: Vec<u16>,
}

/// Ports that some addresses may connect to.
#[derive(Serialize)]
struct Opens {
    /// Absent: the nodes', which have a name.
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
        // Where the file names nobody, nobody may.
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
