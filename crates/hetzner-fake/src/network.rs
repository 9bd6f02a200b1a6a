//! Private networks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::Labels;
use crate::project::{Meta, Project, Resource, read, stored};

/// Hetzner's own gateway towards the internet.
const RESERVED: Ipv4Addr = Ipv4Addr::new(172, 31, 1, 1);

/// A private network.
pub(crate) struct Network {
    pub(crate) meta: Meta,
    range: Ipv4Net,
    subnets: Vec<(Ipv4Net, String)>,
    protected: bool,
}

stored!(Network, "network", networks, []);

impl Resource for Network {
    fn fields(&self, project: &Project) -> Value {
        let gateway = self.range.hosts().next();
        let subnets = self.subnets.iter().map(|(range, zone)| {
            json!({ "type": "cloud", "ip_range": range, "network_zone": zone, "gateway": gateway })
        });
        json!({
            "ip_range": self.range,
            "subnets": subnets.collect::<Vec<_>>(),
            "routes": [],
            "servers": project.servers_in(self.meta.id),
            "load_balancers": [],
            "expose_routes_to_vswitch": false,
            "protection": { "delete": self.protected },
        })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    ip_range: Ipv4Net,
    #[serde(default)]
    subnets: Vec<Subnet>,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize)]
struct Subnet {
    ip_range: Option<Ipv4Net>,
    network_zone: String,
}

#[derive(Deserialize)]
struct Protect {
    delete: bool,
}

impl Network {
    /// Takes a subnet in, if it lies in the network and meets no other.
    fn add_subnet(&mut self, subnet: Subnet) -> Result<(), Refusal> {
        let range = subnet.ip_range.unwrap_or(self.range);
        let meets = |other: &Ipv4Net| other.contains(&range) || range.contains(other);
        if !self.range.contains(&range) {
            return Err(Refusal::invalid("ip_range", "is not in the network"));
        }
        if self.subnets.iter().any(|(other, _)| meets(other)) {
            return Err(Refusal::invalid("ip_range", "overlaps another subnet"));
        }
        self.subnets.push((range, subnet.network_zone));
        Ok(())
    }

    /// The address that a server in a zone gets, or the one that is wanted.
    fn address(
        &self,
        zone: &Value,
        wanted: Option<Ipv4Addr>,
        used: &BTreeSet<Ipv4Addr>,
    ) -> Result<Ipv4Addr, Refusal> {
        let no_subnet =
            || Refusal::new(422, "no_subnet_available", "no subnet of the network fits");
        let mut subnets = self.subnets.iter().filter(|(_, own)| *zone == *own);
        let is_inside =
            |(range, _): &&(Ipv4Net, String)| wanted.is_none_or(|ip| range.contains(&ip));
        let (range, _) = subnets.find(is_inside).ok_or_else(no_subnet)?;
        let gateway = self.range.hosts().next();
        let is_free = |ip: &Ipv4Addr| Some(*ip) != gateway && *ip != RESERVED && !used.contains(ip);
        let mut hosts = range.hosts().filter(|ip| wanted.is_none_or(|wanted| wanted == *ip));
        hosts
            .find(is_free)
            .ok_or_else(|| Refusal::new(422, "ip_not_available", "the address is not available"))
    }
}

impl Project {
    pub(crate) fn create_network(&mut self, body: &Value) -> Outcome {
        let Create { name, ip_range, subnets, labels } = read(body)?;
        if !ip_range.addr().is_private()
            || ip_range.prefix_len() > 24
            || ip_range.trunc() != ip_range
        {
            return Err(Refusal::invalid("ip_range", "must be a private network of /24 or larger"));
        }
        let meta = self.meta::<Network>(name, labels)?;
        let mut network = Network { meta, range: ip_range, subnets: Vec::new(), protected: false };
        subnets.into_iter().try_for_each(|subnet| network.add_subnet(subnet))?;
        let id = self.add(network);
        Ok(Answer::created(self.one::<Network>(id, Value::Null)?))
    }

    pub(crate) fn network_action(&mut self, id: u64, command: &str, body: &Value) -> Outcome {
        let own = [("network", id)];
        self.get::<Network>(id)?;
        self.not_locked(&own)?;
        let action = match command {
            "add_subnet" => {
                self.get_mut::<Network>(id)?.add_subnet(read(body)?)?;
                self.begin(command, &own, |_| {})
            }
            "delete_subnet" => {
                let Subnet { ip_range, .. } = read(body)?;
                self.get_mut::<Network>(id)?.subnets.retain(|(range, _)| Some(*range) != ip_range);
                self.begin(command, &own, |_| {})
            }
            "change_protection" => {
                let Protect { delete } = read(body)?;
                self.get_mut::<Network>(id)?.protected = delete;
                self.begin(command, &own, |_| {})
            }
            _ => Err(Refusal::not_found("action")),
        };
        Ok(Answer::created(json!({ "action": action? })))
    }

    /// An address for a server in a network.
    pub(crate) fn private_address(
        &self,
        network: u64,
        location: &Value,
        wanted: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, Refusal> {
        let network = self.get::<Network>(network)?;
        let links = self.servers.values().flat_map(|server| &server.private);
        let used = links.filter(|link| link.network == network.meta.id).map(|link| link.ip);
        network.address(&location["network_zone"], wanted, &used.collect())
    }

    fn servers_in(&self, network: u64) -> Vec<u64> {
        let is_in = |server: &&crate::server::Server| {
            server.private.iter().any(|link| link.network == network)
        };
        self.servers.values().filter(is_in).map(|server| server.meta.id).collect()
    }

    /// Its servers stay, without it.
    pub(crate) fn delete_network(&mut self, id: u64) -> Outcome {
        if self.get::<Network>(id)?.protected {
            return Err(Refusal::protected());
        }
        self.not_locked(&[("network", id)])?;
        self.networks.remove(&id);
        for server in self.servers.values_mut() {
            server.private.retain(|link| link.network != id);
        }
        Ok(Answer::no_content())
    }
}
