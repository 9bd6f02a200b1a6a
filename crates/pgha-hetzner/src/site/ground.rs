//! What the servers of a cluster stand on.

use hcloud::models;

use super::{Ours, Site, SiteError};
use crate::error::{ApiError, Code};
use crate::ground::Piece;

macro_rules! ours {
    ($($kind:ident),+) => {
        $(impl Ours for models::$kind {
            fn label(&self, key: &str) -> Option<&str> {
                self.labels.get(key).map(String::as_str)
            }
        })+
    };
}

ours!(Network, PlacementGroup, SshKey, Volume);

impl Ours for models::Firewall {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }
}

impl Site {
    /// Makes network, firewall, placement group and key, as far as they are not there.
    ///
    /// # Errors
    /// When the API refuses or is silent, or one of the names is somebody else's.
    pub async fn create_ground(&self) -> Result<(), SiteError> {
        self.network().await?;
        self.firewall().await?;
        self.placement_group().await?;
        self.ssh_key().await.map(drop)
    }

    /// Deletes all of it, once there is no server any more.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn delete_ground(&self) -> Result<(), SiteError> {
        let ground = self.api.ground(&self.selector()).await?;
        let pieces = [
            ground.volumes.iter().map(|volume| Piece::Volume(volume.id)).collect::<Vec<_>>(),
            ground.firewalls.iter().map(|firewall| Piece::Firewall(firewall.id)).collect(),
            ground.placement_groups.iter().map(|group| Piece::PlacementGroup(group.id)).collect(),
            ground.ssh_keys.iter().map(|key| Piece::SshKey(key.id)).collect(),
            ground.networks.iter().map(|network| Piece::Network(network.id)).collect(),
        ];
        for piece in pieces.concat() {
            self.delete(piece).await?;
        }
        Ok(())
    }

    /// A firewall is in use for some seconds after its last server is gone, and so is a volume.
    pub(super) async fn delete(&self, piece: Piece) -> Result<(), SiteError> {
        let passes = [Code::ResourceInUse, Code::Locked];
        Ok(self.patiently(&passes, || self.api.delete(piece)).await?)
    }

    pub(super) async fn network(&self) -> Result<models::Network, SiteError> {
        let name = &self.wanted.cluster;
        let find = || self.api.only::<models::Network>("networks", name);
        let make = || async {
            let mut request =
                models::CreateNetworkRequest::new(self.wanted.network.clone(), name.clone());
            request.labels = Some(self.labels("network").into_iter().collect());
            // At once: a subnet that comes later is not seen by all of Hetzner for some seconds.
            let zone = self.wanted.network_zone.clone();
            let subnet = models::Subnet::new(zone, models::subnet::Type::Cloud);
            request.subnets = Some(vec![models::Subnet {
                ip_range: Some(self.wanted.network.clone()),
                ..subnet
            }]);
            Ok(self.api.create_network(request).await?)
        };
        self.ensure("network", name, find, make).await
    }

    pub(super) async fn firewall(&self) -> Result<models::Firewall, SiteError> {
        let name = &self.wanted.cluster;
        let find = || self.api.only::<models::Firewall>("firewalls", name);
        let make = || async {
            let mut request = models::CreateFirewallRequest::new(name.clone());
            request.labels = Some(self.labels("firewall").into_iter().collect());
            request.rules = Some(vec![self.ssh_rule()]);
            Ok(self.api.create_firewall(request).await?)
        };
        self.ensure("firewall", name, find, make).await
    }

    /// The public interface lets operators' SSH in, and nothing else.
    fn ssh_rule(&self) -> models::Rule {
        models::Rule {
            source_ips: Some(self.wanted.operators.clone()),
            port: Some(Some("22".to_owned())),
            ..models::Rule::new(models::rule::Direction::In, models::rule::Protocol::Tcp)
        }
    }

    pub(super) async fn placement_group(&self) -> Result<models::PlacementGroup, SiteError> {
        let name = &self.wanted.cluster;
        let find = || self.api.only::<models::PlacementGroup>("placement_groups", name);
        let make = || async {
            let spread = models::create_placementgroup_request::Type::Spread;
            let mut request = models::CreatePlacementgroupRequest::new(name.clone(), spread);
            request.labels = Some(self.labels("placement-group").into_iter().collect());
            Ok(self.api.create_placement_group(request).await?)
        };
        self.ensure("placement group", name, find, make).await
    }

    pub(super) async fn ssh_key(&self) -> Result<models::SshKey, SiteError> {
        let name = format!("{}-operator", self.wanted.cluster);
        let find = || self.api.only::<models::SshKey>("ssh_keys", &name);
        let make = || async {
            let mut request =
                models::CreateSshKeyRequest::new(name.clone(), self.wanted.public_key.clone());
            request.labels = Some(self.labels("ssh-key").into_iter().collect());
            Ok(self.api.create_ssh_key(request).await?)
        };
        self.ensure("SSH key", &name, find, make).await
    }

    pub(super) async fn volume(&self, node: &str) -> Result<models::Volume, SiteError> {
        let name = self.volume_name(node);
        let find = || self.volume_called(&name);
        let make = || async {
            let size = i32::try_from(self.wanted.volume_gb).unwrap_or(i32::MAX);
            let mut request = models::CreateVolumeRequest::new(name.clone(), size);
            request.location = Some(self.wanted.location.clone());
            let mut labels = self.labels("volume");
            labels.insert("pgha/node".to_owned(), node.to_owned());
            request.labels = Some(labels.into_iter().collect());
            let made = self.api.create_volume(request).await?;
            self.api.ended(&made.actions, super::PATIENCE).await?;
            Ok(made.thing)
        };
        self.ensure("volume", &name, find, make).await
    }

    pub(super) async fn volume_called(
        &self,
        name: &str,
    ) -> Result<Option<models::Volume>, ApiError> {
        self.api.only("volumes", name).await
    }

    pub(super) fn volume_name(&self, node: &str) -> String {
        format!("{}-{node}-data", self.wanted.cluster)
    }
}
