//! Addresses: of the nodes, and of those who may connect.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::Range;

use ipnet::Ipv4Net;
use serde_spanned::Spanned;

use super::super::{Network, Node, Role};
use super::Remarks;
use crate::spec::Spec;

pub(super) fn check(spec: &Spec, remarks: &mut Remarks) -> Option<Network> {
    let cidr = match &spec.network.cidr {
        Some(text) => parse_net("cidr", text, remarks),
        None => around_first(spec),
    };
    if let (Some(cidr), Some(text)) = (cidr, &spec.network.cidr)
        && !(16..=29).contains(&cidr.prefix_len())
    {
        let help = "a prefix between 16 and 29: it holds the nodes and their gateway, and this machine routes it";
        remarks.error(
            text.span(),
            format!("{cidr} is no network for a cluster"),
            "too large or too small",
            help,
        );
    }
    let clients = nets("clients", spec.network.clients.as_deref(), remarks);
    let operators = nets("operators", spec.network.operators.as_deref(), remarks);
    if let Some(gateway) = cidr.and_then(|cidr| cidr.hosts().next()) {
        let listed = spec.network.operators.as_deref();
        if let Some((span, label, help)) = out_of_reach(gateway, listed, operators.as_deref()) {
            remarks.error(span, "`operators` would lock pgha out", label, help);
        }
        let listed = spec.network.clients.as_deref();
        if let Some((span, label, help)) = out_of_reach(gateway, listed, clients.as_deref()) {
            let message = "`clients` locks `pgha psql` and `pgha verify` out";
            remarks.warning(span, message, label, help);
        }
    }
    let own = |nets: Option<Vec<Ipv4Net>>, cidr| as_set(nets.unwrap_or_else(|| vec![cidr]));
    let direct_clients =
        nets("direct_clients", Some(&spec.network.direct_clients), remarks).unwrap_or_default();
    cidr.map(|cidr| Network {
        cidr,
        clients: own(clients, cidr),
        direct_clients: as_set(direct_clients),
        operators: own(operators, cidr),
    })
}

/// Span, label and help, if none of `nets` contains this machine: it reaches local nodes from the
/// gateway's address.
fn out_of_reach(
    gateway: Ipv4Addr,
    listed: Option<&[Spanned<String>]>,
    nets: Option<&[Ipv4Net]>,
) -> Option<(Range<usize>, String, String)> {
    let (listed, nets) = listed.zip(nets)?;
    // A network that could not be read has an error of its own.
    if nets.len() < listed.len() || nets.iter().any(|net| net.contains(&gateway)) {
        return None;
    }
    let span = listed.first().map_or(0..0, Spanned::span);
    let label = format!("{gateway} is in none of these networks");
    let help = format!("add \"{gateway}/32\": this machine reaches its local nodes from there");
    Some((span, label, help))
}

fn around_first(spec: &Spec) -> Option<Ipv4Net> {
    let address = spec
        .node
        .get_ref()
        .iter()
        .find_map(|node| node.address.get_ref().parse::<Ipv4Addr>().ok())?;
    Ipv4Net::new(address, 24).ok().map(|net| net.trunc())
}

fn nets(
    key: &str,
    list: Option<&[Spanned<String>]>,
    remarks: &mut Remarks,
) -> Option<Vec<Ipv4Net>> {
    Some(list?.iter().filter_map(|text| parse_net(key, text, remarks)).collect())
}

/// Sorted, without duplicates: the packet filter takes them as a set, so their order must not
/// matter.
fn as_set(mut nets: Vec<Ipv4Net>) -> Vec<Ipv4Net> {
    nets.sort();
    nets.dedup();
    nets
}

fn parse_net(key: &str, text: &Spanned<String>, remarks: &mut Remarks) -> Option<Ipv4Net> {
    match text.get_ref().parse::<Ipv4Net>() {
        Ok(net) if net.trunc() == net => Some(net),
        Ok(net) => {
            let message = format!("`{}` names a host, not a network", text.get_ref());
            remarks.error(
                text.span(),
                message,
                format!("the network is {}", net.trunc()),
                format!("`{key}` takes networks"),
            );
            None
        }
        Err(_) => {
            remarks.error(
                text.span(),
                format!("`{}` is no IPv4 network", text.get_ref()),
                "expected address/prefix",
                "for example \"10.89.0.0/24\"",
            );
            None
        }
    }
}

/// The nodes whose address could be read, sorted by name. If they are fewer than the file's, an
/// error was reported.
pub(super) fn nodes(spec: &Spec, network: Option<&Network>, remarks: &mut Remarks) -> Vec<Node> {
    let mut seen = BTreeMap::new();
    let mut nodes = Vec::new();
    for section in spec.node.get_ref() {
        let Some(address) = address(&section.address, network, remarks) else {
            continue;
        };
        if let Some(other) = seen.insert(address, section.name.get_ref()) {
            let message = format!("two nodes have the address {address}");
            remarks.error(
                section.address.span(),
                message,
                format!("also the address of {other}"),
                "give each node an address of its own",
            );
        }
        nodes.push(Node {
            name: section.name.get_ref().clone(),
            address,
            role_set: roles(section, remarks),
        });
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

fn roles(section: &crate::spec::NodeSection, remarks: &mut Remarks) -> super::super::RoleSet {
    match &section.roles {
        Some(roles) if roles.get_ref().is_empty() => {
            remarks.error(
                roles.span(),
                format!("node `{}` has no role", section.name.get_ref()),
                "empty",
                "leave `roles` out for all three",
            );
            [].into_iter().collect()
        }
        Some(roles) => roles.get_ref().iter().copied().collect(),
        None => [Role::Etcd, Role::Postgres, Role::Haproxy].into_iter().collect(),
    }
}

fn address(
    text: &Spanned<String>,
    network: Option<&Network>,
    remarks: &mut Remarks,
) -> Option<Ipv4Addr> {
    let Ok(address) = text.get_ref().parse::<Ipv4Addr>() else {
        remarks.error(
            text.span(),
            format!("`{}` is no IPv4 address", text.get_ref()),
            "not an address",
            "for example \"10.89.0.11\"",
        );
        return None;
    };
    let unusable = no_host(address);
    let unusable = unusable.or_else(|| no_host_of(network?.cidr, address));
    if let Some((message, label, help)) = unusable {
        remarks.error(text.span(), message, label, help);
    }
    Some(address)
}

/// What is wrong with an address, the same in a few words, and what to do.
type Unusable = (String, &'static str, &'static str);

fn no_host(address: Ipv4Addr) -> Option<Unusable> {
    let is_reserved = address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.octets()[0] == 0
        || address.octets()[0] >= 240;
    is_reserved.then(|| {
        (
            format!("{address} cannot be a node's address"),
            "not a host's",
            "loopback, link-local, multicast and reserved addresses belong to no machine of a network; use a private one",
        )
    })
}

fn no_host_of(cidr: Ipv4Net, address: Ipv4Addr) -> Option<Unusable> {
    if !cidr.contains(&address) {
        return Some((
            format!("{address} is outside the cluster's network {cidr}"),
            "foreign address",
            "put the node into the network, or set `network.cidr` to one that holds every node",
        ));
    }
    if address == cidr.network() || address == cidr.broadcast() {
        return Some((
            format!("{address} is not a host address of {cidr}"),
            "network or broadcast address",
            "choose an address between",
        ));
    }
    (Some(address) == cidr.hosts().next()).then(|| {
        (
            format!("{address} is the gateway of {cidr}"),
            "taken by the gateway",
            "the first address of a network belongs to its gateway, on every provider",
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn clients_without_this_machine_are_a_warning() {
        let minimal = include_str!("../../../../../tests/clusters/minimal.toml");
        let text = format!("{minimal}\n[network]\nclients = [\"10.1.0.0/16\"]\n");
        let (_, warnings) = crate::Cluster::parse(&text).expect("a valid cluster");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].message.contains("`pgha psql`"));
    }
}
