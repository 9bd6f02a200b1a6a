//! Servers.

mod action;
mod create;

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::action::Action;
use crate::answer::{Answer, Outcome, Refusal};
use crate::hardware::Hardware;
use crate::image::Image;
use crate::placement_group::PlacementGroup;
use crate::project::{Meta, Project, Resource, stored};
use crate::volume::Volume;

/// A virtual machine.
pub(crate) struct Server {
    pub(crate) meta: Meta,
    server_type: Value,
    pub(crate) location: Value,
    /// What its disk was written from last.
    image: u64,
    status: Status,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) private: Vec<Link>,
    pub(crate) placement_group: Option<u64>,
    user_data: Option<String>,
    /// Keys that the rescue system of the next boot lets in. Absent: it boots its own disk.
    rescue: Option<Vec<String>>,
    /// Whether it runs the rescue system.
    in_rescue: bool,
    protected: bool,
}

/// A card of a server in a private network.
pub(crate) struct Link {
    pub(crate) network: u64,
    pub(crate) ip: Ipv4Addr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Initializing,
    Starting,
    Running,
    Stopping,
    Off,
    Rebuilding,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Initializing => "initializing",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Off => "off",
            Self::Rebuilding => "rebuilding",
        }
    }
}

impl Server {
    pub(crate) fn text_of_type(&self, field: &str) -> String {
        self.server_type[field].as_str().unwrap_or_default().to_owned()
    }

    /// Gigabytes of its disk.
    pub(crate) fn disk_gb(&self) -> u64 {
        self.server_type["disk"].as_u64().unwrap_or_default()
    }

    /// Its public interface, as the API shows it. `firewalls`: those that are for it.
    fn public_net(&self, firewalls: impl Iterator<Item = u64>) -> Value {
        let firewalls = firewalls.map(|id| json!({ "id": id, "status": "applied" }));
        let ipv4 = self.ipv4.map(|ip| {
            let name = format!("static.{ip}.clients.your-server.de");
            json!({ "id": self.meta.id + 1_000_000, "ip": ip, "blocked": false, "dns_ptr": name })
        });
        json!({ "ipv4": ipv4, "ipv6": null, "floating_ips": [], "firewalls": firewalls.collect::<Vec<_>>() })
    }

    fn private_net(&self) -> Vec<Value> {
        let card = |link: &Link| {
            let [_, b, c, d] = link.ip.octets();
            let mac = format!("86:00:00:{b:02x}:{c:02x}:{d:02x}");
            json!({ "network": link.network, "ip": link.ip, "alias_ips": [], "mac_address": mac })
        };
        self.private.iter().map(card).collect()
    }
}

stored!(Server, "server", servers, ["status"]);

impl Resource for Server {
    fn fields(&self, project: &Project) -> Value {
        let id = self.meta.id;
        let firewalls =
            project.firewalls.values().filter(|firewall| firewall.servers.contains(&id));
        let volumes = project.volumes.values().filter(|volume| volume.server == Some(id));
        let group =
            self.placement_group.and_then(|group| project.show_id::<PlacementGroup>(group).ok());
        json!({
            "status": self.status.name(),
            "public_net": self.public_net(firewalls.map(|firewall| firewall.meta.id)),
            "private_net": self.private_net(),
            "server_type": self.server_type,
            "location": self.location,
            "image": project.show_id::<Image>(self.image).ok(),
            "iso": null,
            "rescue_enabled": self.rescue.is_some(),
            "locked": project.is_locked(("server", id)),
            "backup_window": null,
            "outgoing_traffic": null,
            "ingoing_traffic": null,
            "included_traffic": 21_990_232_555_520_u64,
            "primary_disk_size": self.disk_gb(),
            "protection": { "delete": self.protected, "rebuild": self.protected },
            "volumes": volumes.map(|volume| volume.meta.id).collect::<Vec<_>>(),
            "load_balancers": [],
            "placement_group": group,
        })
    }
}

impl Project {
    /// What a server can read of itself. Not part of the API.
    pub(crate) fn user_data(&self, server: &str) -> Option<&str> {
        let mut named = self.servers.values().filter(|own| own.meta.name == server);
        named.next()?.user_data.as_deref()
    }

    /// Its volumes stay, attached to nothing; its snapshots stay.
    pub(crate) fn delete_server(&mut self, id: u64) -> Outcome {
        if self.get::<Server>(id)?.protected {
            return Err(Refusal::protected());
        }
        let action = self.begin("delete_server", &[("server", id)], |_| {})?;
        self.servers.remove(&id);
        for firewall in self.firewalls.values_mut() {
            firewall.servers.remove(&id);
        }
        let volumes = self.volumes.values_mut().filter(|volume| volume.server == Some(id));
        volumes.for_each(|volume: &mut Volume| volume.server = None);
        Ok(Answer::ok(json!({ "action": action })))
    }

    /// What goes off by itself, goes off.
    pub(crate) fn look_at_hardware(&mut self) {
        if self.hardware.as_ref().is_some_and(Hardware::went_off) {
            for server in self.servers.values_mut().filter(|server| server.in_rescue) {
                server.status = Status::Off;
                server.in_rescue = false;
            }
        }
    }

    /// While an action runs. One that fails leaves the server as it was.
    fn set_status_of(&mut self, action: &Value, server: u64, status: Status) {
        let is_this = |own: &&Action| Some(own.id) == action["id"].as_u64();
        if !self.actions.all.iter().find(is_this).is_some_and(Action::fails) {
            self.set_status(server, status);
        }
    }

    fn set_status(&mut self, server: u64, status: Status) {
        if let Some(server) = self.servers.get_mut(&server) {
            server.status = status;
        }
    }
}
