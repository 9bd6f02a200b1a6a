//! Servers, each with the volume that outlives it.

use std::net::Ipv4Addr;

use hcloud::models;

use super::{Ours, PATIENCE, Site, SiteError};
use crate::error::Code;
use crate::ground::Piece;
use crate::model::{Labels, Server, Status};
use crate::server::Power;

/// The label of a snapshot that says which image it holds.
const IMAGE: &str = "pgha/image";

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

impl Ours for Server {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

impl Site {
    /// Makes a server with an empty volume and boots it.
    ///
    /// # Errors
    /// When the API refuses or is silent, a name is somebody else's, or nothing is left of what is wanted.
    pub async fn create_server(&self, node: &Node<'_>) -> Result<(), SiteError> {
        let name = self.server_name(node.name);
        let volume = self.volume(node.name).await?;
        let find = || self.api.server_called(&name);
        let make = || self.make_server(&name, node, &volume);
        self.ensure("server", &name, find, make).await?;
        let server = self.there(node.name).await?;
        self.attach(&server, node.address).await?;
        self.power_on(node.name).await
    }

    /// Off: with its network it would get any address.
    async fn make_server(
        &self,
        name: &str,
        node: &Node<'_>,
        volume: &models::Volume,
    ) -> Result<Server, SiteError> {
        let mut request = models::CreateServerRequest::new(
            self.snapshot(node.image).await?.to_string(),
            name.to_owned(),
            String::new(),
        );
        let mut labels = self.labels("node");
        labels.extend(node.labels.clone());
        request.labels = Some(labels.into_iter().collect());
        request.location = Some(self.wanted.location.clone());
        request.user_data = Some(node.user_data.to_owned());
        request.volumes = Some(vec![volume.id]);
        request.firewalls = Some(vec![models::CreateServerRequestFirewalls {
            firewall: self.firewall().await?.id,
        }]);
        request.placement_group = Some(self.placement_group().await?.id);
        request.ssh_keys = Some(vec![self.ssh_key().await?.id.to_string()]);
        request.start_after_create = Some(false);
        request.public_net = Some(Box::new(models::CreateServerRequestPublicNet {
            enable_ipv4: Some(true),
            enable_ipv6: Some(false),
            ..Default::default()
        }));
        self.first_available(request).await
    }

    /// Tries the kinds of server in their order.
    async fn first_available(
        &self,
        mut request: models::CreateServerRequest,
    ) -> Result<Server, SiteError> {
        for server_type in &self.wanted.server_types {
            request.server_type.clone_from(server_type);
            match self.api.create_server(&request).await {
                Err(error)
                    if error.is(&Code::ResourceUnavailable) || error.is(&Code::PlacementError) =>
                {
                    tracing::warn!("{server_type} in {}: {error}", self.wanted.location);
                }
                outcome => {
                    let made = outcome?;
                    self.api.ended(&made.actions, PATIENCE).await?;
                    return Ok(made.thing);
                }
            }
        }
        let (server_types, location) =
            (self.wanted.server_types.clone(), self.wanted.location.clone());
        Err(SiteError::SoldOut { server_types, location })
    }

    async fn attach(&self, server: &Server, address: Ipv4Addr) -> Result<(), SiteError> {
        let network = self.network().await?.id.unsigned_abs();
        if server.private_net.iter().any(|card| card.network == network) {
            return Ok(());
        }
        let passes = [Code::NoSubnetAvailable, Code::ServiceError];
        let attach = || self.api.attach_to_network(server.id, network, address);
        match self.patiently(&passes, attach).await {
            Err(error) if error.is(&Code::ServerAlreadyAttached) => Ok(()),
            outcome => Ok(self.api.ended(&outcome?, PATIENCE).await?),
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
            let begun = self.api.power(server.id, power).await?;
            self.api.ended(&begun, PATIENCE).await?;
        }
        Ok(())
    }

    /// Gives a server another image and boots it, on the same volume. While it is under way a label says so.
    ///
    /// # Errors
    /// As [`Site::power_on`], and when no snapshot holds the image.
    pub async fn rebuild_server(&self, rebuild: &Rebuild<'_>) -> Result<(), SiteError> {
        let image = self.snapshot(rebuild.image).await?;
        let server = self.there(rebuild.name).await?;
        let mut labels = server.labels.clone();
        labels.insert(NEXT.to_owned(), rebuild.image.to_owned());
        self.api.label_server(server.id, &labels).await?;
        self.power_off(rebuild.name).await?;
        let begun = self.api.rebuild_server(server.id, image, Some(rebuild.user_data)).await?;
        self.api.ended(&begun, PATIENCE).await?;
        // It need not be on: the API does not say.
        self.power_on(rebuild.name).await?;
        let mut labels = self.labels("node");
        labels.extend(rebuild.labels.clone());
        self.api.label_server(server.id, &labels).await?;
        Ok(())
    }

    /// Deletes a server and its volume.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn delete_server(&self, node: &str) -> Result<(), SiteError> {
        if let Some(server) = self.settled(&self.server_name(node)).await? {
            self.must_be_ours("server", &server.name, &server)?;
            match self.api.delete_server(server.id).await {
                Err(error) if error.is(&Code::NotFound) => {}
                outcome => self.api.ended(&outcome?, PATIENCE).await?,
            }
        }
        let name = self.volume_name(node);
        if let Some(volume) = self.volume_called(&name).await? {
            self.must_be_ours("volume", &name, &volume)?;
            self.delete(Piece::Volume(volume.id)).await?;
        }
        Ok(())
    }

    /// The number of the snapshot that holds an image.
    async fn snapshot(&self, image: &str) -> Result<u64, SiteError> {
        let found = self.api.snapshots(&format!("{IMAGE}={image}")).await?;
        let available =
            found.iter().find(|found| found.status == crate::model::ImageStatus::Available);
        available.map(|found| found.id).ok_or_else(|| SiteError::NoSnapshot(image.to_owned()))
    }

    /// The server of a node, once nothing is done to it any more.
    async fn there(&self, node: &str) -> Result<Server, SiteError> {
        let name = self.server_name(node);
        let server = self.settled(&name).await?.ok_or_else(|| SiteError::NoServer(name.clone()))?;
        self.must_be_ours("server", &name, &server)?;
        Ok(server)
    }

    fn server_name(&self, node: &str) -> String {
        format!("{}-{node}", self.wanted.cluster)
    }
}
