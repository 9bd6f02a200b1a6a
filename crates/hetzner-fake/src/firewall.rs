//! Firewalls, which see the public interface of servers alone.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::Labels;
use crate::project::{Meta, Project, Resource, read, stored};
use crate::server::Server;

/// Rules of a firewall, at most.
const MOST: usize = 50;

/// Rules, and the servers that they are for.
pub(crate) struct Firewall {
    pub(crate) meta: Meta,
    rules: Vec<Rule>,
    pub(crate) servers: BTreeSet<u64>,
}

#[derive(Deserialize)]
struct Rule {
    direction: String,
    protocol: String,
    port: Option<String>,
    #[serde(default)]
    source_ips: Vec<ipnet::IpNet>,
    #[serde(default)]
    destination_ips: Vec<ipnet::IpNet>,
    description: Option<String>,
}

impl Rule {
    fn check(&self) -> Result<(), Refusal> {
        let has_ports = ["tcp", "udp"].contains(&self.protocol.as_str());
        let ends = match self.direction.as_str() {
            "in" => &self.source_ips,
            "out" => &self.destination_ips,
            _ => return Err(Refusal::invalid("rules.direction", "must be in or out")),
        };
        let of_host = ends.iter().any(|net| net.trunc() != *net);
        match () {
            () if has_ports != self.port.is_some() => {
                Err(Refusal::invalid("rules.port", "goes with tcp and udp alone"))
            }
            () if ends.is_empty() => Err(Refusal::invalid("rules", "a rule needs addresses")),
            () if of_host => {
                Err(Refusal::invalid("rules", "an address has bits behind its prefix"))
            }
            () => Ok(()),
        }
    }

    /// With every field, also the empty ones: hcloud-python reads them all.
    fn show(&self) -> Value {
        json!({
            "direction": self.direction,
            "protocol": self.protocol,
            "port": self.port,
            "source_ips": self.source_ips,
            "destination_ips": self.destination_ips,
            "description": self.description,
        })
    }
}

stored!(Firewall, "firewall", firewalls, []);

impl Resource for Firewall {
    fn fields(&self, _: &Project) -> Value {
        let servers =
            self.servers.iter().map(|id| json!({ "type": "server", "server": { "id": id } }));
        json!({
            "rules": self.rules.iter().map(Rule::show).collect::<Vec<_>>(),
            "applied_to": servers.collect::<Vec<_>>(),
        })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    apply_to: Vec<Target>,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize)]
struct SetRules {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Apply {
    apply_to: Vec<Target>,
}

#[derive(Deserialize)]
struct Remove {
    remove_from: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    server: Option<Id>,
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

fn checked(rules: Vec<Rule>) -> Result<Vec<Rule>, Refusal> {
    if rules.len() > MOST {
        return Err(Refusal::invalid("rules", "at most 50"));
    }
    rules.iter().try_for_each(Rule::check)?;
    Ok(rules)
}

impl Project {
    pub(crate) fn create_firewall(&mut self, body: &Value) -> Outcome {
        let Create { name, rules, apply_to, labels } = read(body)?;
        let rules = checked(rules)?;
        let servers = self.targets(apply_to)?;
        let meta = self.meta::<Firewall>(name, labels)?;
        let id = self.add(Firewall { meta, rules, servers: BTreeSet::new() });
        let set = self.begin("set_firewall_rules", &[("firewall", id)], |_| {})?;
        let applied = self.apply_firewall(id, servers);
        let actions = [vec![set], applied].concat();
        Ok(Answer::created(self.one::<Firewall>(id, json!({ "actions": actions }))?))
    }

    /// Servers alone; those without a public interface are refused.
    fn targets(&self, targets: Vec<Target>) -> Result<Vec<u64>, Refusal> {
        let server = |target: Target| {
            let none = || Refusal::invalid("apply_to", "only servers are modelled");
            let server = self.get::<Server>(target.server.ok_or_else(none)?.id)?;
            match server.ipv4 {
                Some(_) => Ok(server.meta.id),
                None => Err(Refusal::new(422, "private_net_only_server", "no public interface")),
            }
        };
        targets.into_iter().map(server).collect()
    }

    fn apply_firewall(&mut self, id: u64, servers: Vec<u64>) -> Vec<Value> {
        let apply = |server: u64| {
            let subjects = [("server", server), ("firewall", id)];
            self.begin_next("apply_firewall", &subjects, move |project| {
                if let Some(firewall) = project.firewalls.get_mut(&id) {
                    firewall.servers.insert(server);
                }
            })
        };
        servers.into_iter().map(apply).collect()
    }

    pub(crate) fn firewall_action(&mut self, id: u64, command: &str, body: &Value) -> Outcome {
        self.get::<Firewall>(id)?;
        let actions = match command {
            "set_rules" => {
                let SetRules { rules } = read(body)?;
                self.get_mut::<Firewall>(id)?.rules = checked(rules)?;
                vec![self.begin("set_firewall_rules", &[("firewall", id)], |_| {})?]
            }
            "apply_to_resources" => {
                let Apply { apply_to } = read(body)?;
                let servers = self.targets(apply_to)?;
                self.apply_firewall(id, servers)
            }
            "remove_from_resources" => {
                let Remove { remove_from } = read(body)?;
                let servers = self.targets(remove_from)?;
                self.get_mut::<Firewall>(id)?.servers.retain(|server| !servers.contains(server));
                vec![self.begin("remove_firewall", &[("firewall", id)], |_| {})?]
            }
            _ => return Err(Refusal::not_found("action")),
        };
        Ok(Answer::created(json!({ "actions": actions })))
    }

    pub(crate) fn delete_firewall(&mut self, id: u64) -> Outcome {
        match self.get::<Firewall>(id)?.servers.is_empty() {
            true => {
                self.not_locked(&[("firewall", id)])?;
                self.firewalls.remove(&id);
                Ok(Answer::no_content())
            }
            false => Err(Refusal::new(409, "resource_in_use", "the firewall is used by servers")),
        }
    }
}
