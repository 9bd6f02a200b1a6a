//! How a server is made.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Link, Server, Status};
use crate::answer::{Answer, Outcome, Refusal};
use crate::firewall::Firewall;
use crate::labels::Labels;
use crate::project::{Project, read};
use crate::ssh_key::SshKey;

/// Bytes of user data, at most.
pub(super) const USER_DATA: usize = 32 << 10;

/// What passes where a server has no key. It is the same each time, and opens nothing.
pub(super) const ROOT_PASSWORD: &str = "never-to-be-logged";

#[derive(Deserialize)]
struct Create {
    name: String,
    server_type: Value,
    image: Value,
    location: Option<Value>,
    #[serde(default)]
    ssh_keys: Vec<Value>,
    user_data: Option<String>,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    networks: Vec<u64>,
    #[serde(default)]
    volumes: Vec<u64>,
    #[serde(default)]
    firewalls: Vec<FirewallOf>,
    placement_group: Option<u64>,
    public_net: Option<PublicNet>,
    #[serde(default = "yes")]
    start_after_create: bool,
}

#[derive(Deserialize)]
struct FirewallOf {
    firewall: u64,
}

#[derive(Deserialize)]
struct PublicNet {
    #[serde(default = "yes")]
    enable_ipv4: bool,
    #[serde(default = "yes")]
    enable_ipv6: bool,
}

fn yes() -> bool {
    true
}

/// A name of a host, as RFC 1123 has it.
fn is_host_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

pub(super) fn user_data_fits(user_data: Option<&String>) -> Result<(), Refusal> {
    match user_data.is_some_and(|data| data.len() > USER_DATA) {
        true => Err(Refusal::invalid("user_data", "must be at most 32 KiB")),
        false => Ok(()),
    }
}

impl Create {
    /// Refuses what the API refuses of one request alone.
    fn check(&self) -> Result<(), Refusal> {
        if !is_host_name(&self.name) {
            return Err(Refusal::invalid("name", "must be a valid host name"));
        }
        user_data_fits(self.user_data.as_ref())?;
        let is_public =
            self.public_net.as_ref().is_none_or(|net| net.enable_ipv4 || net.enable_ipv6);
        if !is_public && self.networks.is_empty() && self.start_after_create {
            return Err(Refusal::invalid(
                "public_net",
                "a server without any network cannot start",
            ));
        }
        Ok(())
    }

    fn has_ipv4(&self) -> bool {
        self.public_net.as_ref().is_none_or(|net| net.enable_ipv4)
    }
}

impl Project {
    pub(crate) fn create_server(&mut self, body: &Value) -> Outcome {
        let request: Create = read(body)?;
        request.check()?;
        let server = self.server_of(&request)?;
        let id = self.add(server);
        let action = self.begin("create_server", &[("server", id)], move |project| {
            project.set_status(id, Status::Off);
        })?;
        let mut next = self.attach_at_birth(&request.volumes, id);
        if request.start_after_create {
            let running = move |project: &mut Self| project.set_status(id, Status::Running);
            next.push(self.begin_next("start_server", &[("server", id)], running));
        }
        for FirewallOf { firewall } in &request.firewalls {
            self.get_mut::<Firewall>(*firewall)?.servers.insert(id);
        }
        let password = request.ssh_keys.is_empty().then_some(ROOT_PASSWORD);
        let more = json!({ "action": action, "next_actions": next, "root_password": password });
        Ok(Answer::created(self.one::<Server>(id, more)?))
    }

    /// The server that a request asks for, if everything that it names is there and fits.
    fn server_of(&mut self, request: &Create) -> Result<Server, Refusal> {
        let server_type = self.catalog.server_type(&request.server_type)?.clone();
        let location = self.place(&server_type, request.location.as_ref())?;
        let architecture = server_type["architecture"].as_str().unwrap_or_default();
        let disk_gb = server_type["disk"].as_u64().unwrap_or_default();
        let image = self.bootable(&request.image, architecture, disk_gb)?;
        request.ssh_keys.iter().try_for_each(|key| self.find::<SshKey>(key).map(drop))?;
        request.volumes.iter().try_for_each(|volume| self.attachable(*volume, &location))?;
        let mut firewalls = request.firewalls.iter();
        firewalls.try_for_each(|of| self.get::<Firewall>(of.firewall).map(drop))?;
        let group = request.placement_group.map(|group| self.has_room(group)).transpose()?;
        let link = |network: &u64| {
            let ip = self.private_address(*network, &location, None)?;
            Ok(Link { network: *network, ip })
        };
        let private = request.networks.iter().map(link).collect::<Result<_, Refusal>>()?;
        let meta = self.meta::<Server>(request.name.clone(), request.labels.clone())?;
        Ok(Server {
            ipv4: request.has_ipv4().then(|| public_address(meta.id)),
            meta,
            server_type,
            location,
            image,
            status: Status::Initializing,
            private,
            placement_group: group,
            user_data: request.user_data.clone(),
            rescue: None,
            in_rescue: false,
            protected: false,
        })
    }

    /// Where a server of a type is made: where it is wanted, or anywhere.
    fn place(&self, server_type: &Value, wanted: Option<&Value>) -> Result<Value, Refusal> {
        let places = server_type["locations"].as_array().map_or(&[][..], Vec::as_slice);
        let wanted = wanted.map(|wanted| self.catalog.location(wanted)).transpose()?;
        let is_wanted = |place: &&Value| wanted.is_none_or(|wanted| place["id"] == wanted["id"]);
        if !places.iter().any(|place| is_wanted(&place)) {
            return Err(Refusal::invalid("server_type", "unsupported location for server type"));
        }
        let place = places.iter().filter(is_wanted).find(|place| place["available"] == true);
        let none =
            || Refusal::new(412, "resource_unavailable", "the server type is not available there");
        self.catalog.location(&place.ok_or_else(none)?["name"]).cloned()
    }
}

/// One of 100.64.0.0/10, which no network of a test uses.
fn public_address(id: u64) -> Ipv4Addr {
    let [c, d] = u16::try_from(id % 65_536).unwrap_or_default().to_be_bytes();
    Ipv4Addr::new(100, 64, c, d)
}
