//! Answers: only what pgha reads of them. Whatever else is there, is missing or has a new word does no harm.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

/// A server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Server {
    /// Its number.
    pub id: u64,
    /// Its name, unique in the project.
    pub name: String,
    /// Whether it runs.
    pub status: Status,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Its public interface.
    #[serde(default)]
    pub public_net: PublicNet,
    /// Its cards in private networks.
    #[serde(default)]
    pub private_net: Vec<PrivateNet>,
    /// What it is.
    #[serde(default)]
    pub server_type: TypeOf,
    /// What its disk was written from last. Absent: that image is gone.
    pub image: Option<Image>,
    /// Volumes that it has.
    #[serde(default)]
    pub volumes: Vec<u64>,
    /// Whether its next boot is into the rescue system.
    #[serde(default)]
    pub rescue_enabled: bool,
    /// Whether an action runs on it.
    #[serde(default)]
    pub locked: bool,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It runs.
    Running,
    /// It is off.
    Off,
    /// It is on its way to another state.
    #[serde(other)]
    Changing,
}

/// The public interface of a server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct PublicNet {
    /// Its IPv4 address. Absent: it has none.
    pub ipv4: Option<PublicIpv4>,
}

/// A public IPv4 address.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PublicIpv4 {
    /// The address.
    pub ip: Ipv4Addr,
}

/// A card of a server in a private network.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PrivateNet {
    /// The network.
    pub network: u64,
    /// The address.
    pub ip: Ipv4Addr,
}

/// What kind of server one is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct TypeOf {
    /// The name of the kind.
    #[serde(default)]
    pub name: String,
    /// Gigabytes of its disk.
    #[serde(default)]
    pub disk: f64,
}

/// A volume, network, firewall, placement group or SSH key.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Resource {
    /// Its number.
    pub id: u64,
    /// Its name, unique in the project for its kind.
    pub name: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Of a volume: the server that it is attached to.
    pub server: Option<u64>,
    /// Of a network: all of its addresses, as CIDR.
    pub ip_range: Option<String>,
    /// Of an SSH key: the key.
    pub public_key: Option<String>,
}

/// An image: a snapshot, or one of Hetzner's.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Image {
    /// Its number.
    pub id: u64,
    /// Whether servers can be made from it.
    pub status: ImageStatus,
    /// Its labels.
    #[serde(default)]
    pub labels: Labels,
    /// Gigabytes that a server's disk must have at least.
    #[serde(default)]
    pub disk_size: f64,
}

/// What an image does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageStatus {
    /// Servers can be made from it.
    Available,
    /// It is being made.
    Creating,
    /// Nothing can be made from it.
    #[serde(other)]
    Unavailable,
}

/// A kind of server.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ServerType {
    /// Its name.
    pub name: String,
    /// `x86` or `arm`.
    #[serde(default)]
    pub architecture: String,
    /// Gigabytes of its disk.
    pub disk: f64,
    /// Gigabytes of its memory.
    pub memory: f64,
    /// Where it is sold.
    #[serde(default)]
    pub locations: Vec<Place>,
}

/// A location where a kind of server is sold.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Place {
    /// Name of the location.
    pub name: String,
    /// Whether one can be had at this moment.
    #[serde(default)]
    pub available: bool,
}

/// Something that takes time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// Its number.
    pub id: u64,
    /// What is done.
    #[serde(default)]
    pub command: String,
    /// How far it is.
    pub status: Progress,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// It is done.
    Success,
    /// It failed.
    Error,
    /// It runs.
    #[serde(other)]
    Running,
}

/// Why an action failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// In words. Hetzner may say nothing.
    #[serde(default)]
    pub message: String,
}

/// What was begun: the thing, and the actions that it takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun<T> {
    /// The thing, as it is at the beginning.
    pub thing: T,
    /// What is to be waited for.
    pub actions: Vec<Action>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_missing_or_null_does_no_harm() {
        let server = r#"{"id": 1, "name": "a", "status": "hibernating", "image": {"id": 2, "status": "frozen", "os_flavor": "new"},
            "public_net": {"ipv4": null}, "server_type": {"name": "cx99", "deprecated": null}, "volumes": [3], "brand": {"new": true}}"#;
        let server: Server = serde_json::from_str(server).expect("a server");
        assert_eq!((server.status, server.volumes), (Status::Changing, vec![3]));
        assert_eq!(server.image.map(|image| image.status), Some(ImageStatus::Unavailable));
        let gone: Server =
            serde_json::from_str(r#"{"id": 1, "name": "a", "status": "off", "image": null}"#)
                .expect("a server");
        assert!(gone.image.is_none() && gone.private_net.is_empty());
        let action = r#"{"id": 1, "status": "paused", "error": {"code": "x", "message": ""}, "resources": [{"type": "new"}]}"#;
        assert_eq!(
            serde_json::from_str::<Action>(action).expect("an action").status,
            Progress::Running
        );
        let volume = r#"{"id": 1, "name": "v", "server": null, "status": "new", "format": null}"#;
        assert!(serde_json::from_str::<Resource>(volume).is_ok());
    }
}
