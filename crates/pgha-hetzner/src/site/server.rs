//! Servers, each with the volume that outlives it.

use std::net::Ipv4Addr;

use hcloud::models;

use super::{LONG, PATIENCE, Site, SiteError};
use crate::error::{ApiError, Code};
use crate::ground::Piece;
use crate::model::{Image, ImageStatus, Labels, Resource, Server, ServerType, Status};
use crate::server::Power;

/// The label of a snapshot that says which image it holds.
pub(super) const IMAGE: &str = "pgha/image";

/// What a server is on its way to. Gone once it is there: whoever finds it does the change again.
const NEXT: &str = "pgha/next-image";

/// A server that is to be made.
pub struct Node<'n> {
    /// Name of the node.
    pub name: &'n str,
    /// Its address in the private network.
    pub address: Ipv4Addr,
    /// The image that it boots.
    pub image: &'n str,
    /// What it is told of itself. Never logged.
    pub user_data: &'n str,
    /// What is noted of it.
    pub labels: Labels,
}

/// A server that is to have another image.
pub struct Rebuild<'r> {
    /// Name of the node.
    pub name: &'r str,
    /// The image that it is to boot.
    pub image: &'r str,
    /// What it is told of itself. Never logged.
    pub user_data: &'r str,
    /// What is noted of it then.
    pub labels: Labels,
}

impl Site {
    /// Makes a server with an empty volume and boots it.
    ///
    /// # Errors
    /// When the API refuses or is silent, a name is somebody else's, or nothing is left of what is wanted.
    pub async fn create_server(&self, node: &Node<'_>) -> Result<(), SiteError> {
        // Before anything is paid for.
        let image = self.snapshot(node.image).await?;
        let (name, volume) = (self.server_name(node.name), self.volume(node.name).await?);
        let find = || self.api.server_called(&name);
        let make = || self.make_server(&name, node, &image, &volume);
        self.ensure("node", &name, find, make).await?;
        let server = self.there(node.name).await?;
        if !server.volumes.contains(&volume.id) {
            self.carry_out(PATIENCE, || self.api.attach_volume(volume.id, server.id)).await?;
        }
        self.join_network(&server, node.address).await?;
        self.power_on(node.name).await
    }

    async fn make_server(
        &self,
        name: &str,
        node: &Node<'_>,
        image: &Image,
        volume: &Resource,
    ) -> Result<Server, SiteError> {
        let key = self.ssh_key().await?.id;
        let mut request = self.new_server(name, &image.id.to_string(), key).await?;
        request.labels = Some(self.labels_with("node", &node.labels).into_iter().collect());
        request.user_data = Some(node.user_data.to_owned());
        request.volumes = Some(vec![number(volume.id)]);
        request.placement_group = Some(number(self.placement_group().await?.id));
        self.first_available(request, &self.wanted.server_types, &self.sold().await?).await
    }

    /// A server behind the firewall, with a public IPv4 address. Off: with its network it would get any address.
    pub(super) async fn new_server(
        &self,
        name: &str,
        image: &str,
        key: u64,
    ) -> Result<models::CreateServerRequest, SiteError> {
        let firewall = number(self.firewall().await?.id);
        Ok(models::CreateServerRequest {
            location: Some(self.wanted.location.clone()),
            ssh_keys: Some(vec![key.to_string()]),
            firewalls: Some(vec![models::CreateServerRequestFirewalls { firewall }]),
            start_after_create: Some(false),
            public_net: Some(Box::new(models::CreateServerRequestPublicNet {
                enable_ipv4: Some(true),
                enable_ipv6: Some(false),
                ..Default::default()
            })),
            ..models::CreateServerRequest::new(image.to_owned(), name.to_owned(), String::new())
        })
    }

    /// Tries the kinds of server that are sold in the location, in their order.
    pub(super) async fn first_available(
        &self,
        mut request: models::CreateServerRequest,
        server_types: &[String],
        sold: &[ServerType],
    ) -> Result<Server, SiteError> {
        let is_sold = |name: &&String| sold.iter().any(|kind| kind.name == **name);
        for server_type in server_types.iter().filter(is_sold) {
            request.server_type.clone_from(server_type);
            match self.api.create_server(&request).await {
                Err(error)
                    if error.is(&Code::ResourceUnavailable) || error.is(&Code::PlacementError) =>
                {
                    tracing::warn!("{server_type} in {}: {error}", self.wanted.location);
                }
                outcome => {
                    let made = outcome?;
                    self.api.ended(&made.actions, LONG).await?;
                    return Ok(made.thing);
                }
            }
        }
        let (server_types, location) = (server_types.join(", "), self.wanted.location.clone());
        Err(SiteError::SoldOut { server_types, location })
    }

    /// Kinds of server that can be had in the location now.
    pub(super) async fn sold(&self) -> Result<Vec<ServerType>, SiteError> {
        let mut kinds = self.api.server_types().await?;
        kinds.retain(|kind| {
            let mut places = kind.locations.iter();
            places.any(|place| place.available && place.name == self.wanted.location)
        });
        Ok(kinds)
    }

    async fn join_network(&self, server: &Server, address: Ipv4Addr) -> Result<(), SiteError> {
        let network = self.network().await?.id;
        let card = server.private_net.iter().find(|card| card.network == network);
        if let Some(card) = card.filter(|card| card.ip != address) {
            let (name, has) = (server.name.clone(), card.ip.to_string());
            let wants = address.to_string();
            return Err(SiteError::Differs { kind: "server", name, has, wants });
        }
        if card.is_some() {
            return Ok(());
        }
        let passes = [Code::NoSubnetAvailable, Code::ServiceError];
        let attach = || self.api.attach_to_network(server.id, network, address);
        let joined = self.carry_out(PATIENCE, || self.patiently(&passes, attach)).await;
        match joined {
            Err(error) if error.is(&Code::ServerAlreadyAttached) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Boots a server that is off.
    ///
    /// # Errors
    /// When the API refuses or is silent, or there is no such server.
    pub async fn power_on(&self, node: &str) -> Result<(), SiteError> {
        self.power(node, Status::Running, Power::On).await
    }

    /// Takes the power of a server. Who wants it stopped cleanly has done that before.
    ///
    /// # Errors
    /// As [`Site::power_on`].
    pub async fn power_off(&self, node: &str) -> Result<(), SiteError> {
        self.power(node, Status::Off, Power::Off).await
    }

    async fn power(&self, node: &str, wanted: Status, power: Power) -> Result<(), SiteError> {
        let server = self.there(node).await?;
        if server.status != wanted {
            self.carry_out(PATIENCE, || self.api.power(server.id, power)).await?;
        }
        Ok(())
    }

    /// Gives a server another image and boots it, on the same volume. While it is under way a label says so.
    ///
    /// # Errors
    /// As [`Site::power_on`], and when no snapshot holds the image or it does not fit.
    pub async fn rebuild_server(&self, rebuild: &Rebuild<'_>) -> Result<(), SiteError> {
        let image = self.snapshot(rebuild.image).await?;
        let server = self.there(rebuild.name).await?;
        // Before it is stopped: Hetzner would refuse it only then.
        if image.disk_size > server.server_type.disk {
            let (has, wants) = (server.server_type.disk, image.disk_size);
            let (has, wants) = (format!("a disk of {has} GB"), format!("one of {wants} GB"));
            return Err(SiteError::Differs { kind: "server", name: server.name, has, wants });
        }
        let mut labels = server.labels.clone();
        labels.insert(NEXT.to_owned(), rebuild.image.to_owned());
        self.api.label_server(server.id, &labels).await?;
        self.power_off(rebuild.name).await?;
        let begin = || self.api.rebuild_server(server.id, image.id, Some(rebuild.user_data));
        self.carry_out(LONG, begin).await?;
        // It need not be on: the API does not say.
        self.power_on(rebuild.name).await?;
        let labels = self.labels_with("node", &rebuild.labels);
        self.api.label_server(server.id, &labels).await?;
        Ok(())
    }

    /// Deletes a server, whatever it does, and its volume.
    ///
    /// # Errors
    /// When one of them is somebody else's, and when the API refuses or is silent.
    pub async fn delete_server(&self, node: &str) -> Result<(), SiteError> {
        let name = self.server_name(node);
        if let Some(server) = self.api.server_called(&name).await? {
            self.must_be_ours("node", &name, &server)?;
            self.delete_one(&server).await?;
        }
        let name = self.volume_name(node);
        if let Some(volume) = self.volume_called(&name).await? {
            self.must_be_ours("volume", &name, &volume)?;
            self.delete(Piece::Volume(volume.id)).await?;
        }
        Ok(())
    }

    /// Deletes a server and nothing else. One that is gone is no error.
    pub(super) async fn delete_one(&self, server: &Server) -> Result<(), SiteError> {
        let deleted = self.carry_out(PATIENCE, || self.api.delete_server(server.id)).await;
        match deleted {
            Err(error) if error.is(&Code::NotFound) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// The cluster's snapshot that holds an image.
    async fn snapshot(&self, image: &str) -> Result<Image, SiteError> {
        let mut found = self.snapshots_of(image).await?.into_iter();
        let available = found.find(|found| found.status == ImageStatus::Available);
        available.ok_or_else(|| SiteError::NoSnapshot(image.to_owned()))
    }

    /// The cluster's snapshots of an image, also those that are being made.
    pub(super) async fn snapshots_of(&self, image: &str) -> Result<Vec<Image>, ApiError> {
        self.api.snapshots(&format!("{},{IMAGE}={image}", self.selector())).await
    }

    /// The server of a node, once nothing is done to it any more.
    async fn there(&self, node: &str) -> Result<Server, SiteError> {
        let name = self.server_name(node);
        let server = self.settled(&name).await?.ok_or_else(|| SiteError::NoServer(name.clone()))?;
        self.must_be_ours("node", &name, &server)?;
        Ok(server)
    }

    fn server_name(&self, node: &str) -> String {
        format!("{}-{node}", self.wanted.cluster)
    }
}

/// A number as the models of requests have it. Hetzner counts in billions.
fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
