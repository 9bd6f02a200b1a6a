//! What the servers of a cluster stand on.

use hcloud::models;

use super::{PATIENCE, Site, SiteError};
use crate::error::{ApiError, Code};
use crate::ground::Piece;
use crate::model::Resource;

impl Site {
    /// Makes network, firewall, placement group and key, as far as they are not there, and gives the firewall its
    /// rules.
    ///
    /// # Errors
    /// When the API refuses or is silent, one of the names is somebody else's, or the network is another one.
    pub async fn create_ground(&self) -> Result<(), SiteError> {
        self.network().await?;
        let firewall = self.firewall().await?.id;
        let rules = [self.ssh_rule()];
        self.carry_out(PATIENCE, || self.api.set_rules(firewall, &rules)).await?;
        self.placement_group().await?;
        self.ssh_key().await.map(drop)
    }

    /// Deletes all of it, and the cluster's snapshots last, once there is no server any more.
    ///
    /// # Errors
    /// When there is a server, and when the API refuses or is silent.
    pub async fn delete_ground(&self) -> Result<(), SiteError> {
        self.remove_leftovers().await?;
        if let Some(server) = self.servers().await?.first() {
            return Err(SiteError::HasServer(server.name.clone()));
        }
        let ground = self.api.ground(&self.selector()).await?;
        let images = self.api.snapshots(&self.selector()).await?;
        let pieces = [
            ground.volumes.iter().map(|volume| Piece::Volume(volume.id)).collect::<Vec<_>>(),
            ground.firewalls.iter().map(|firewall| Piece::Firewall(firewall.id)).collect(),
            ground.placement_groups.iter().map(|group| Piece::PlacementGroup(group.id)).collect(),
            ground.ssh_keys.iter().map(|key| Piece::SshKey(key.id)).collect(),
            ground.networks.iter().map(|network| Piece::Network(network.id)).collect(),
            images.iter().map(|image| Piece::Image(image.id)).collect(),
        ];
        for piece in pieces.concat() {
            self.delete(piece).await?;
        }
        Ok(())
    }

    /// A firewall is in use for some seconds after its last server is gone, and so is a volume.
    pub(super) async fn delete(&self, piece: Piece) -> Result<(), SiteError> {
        Ok(self.patiently(&[Code::ResourceInUse], || self.api.delete(piece)).await?)
    }

    pub(super) async fn network(&self) -> Result<Resource, SiteError> {
        let (name, wants) = (&self.wanted.cluster, &self.wanted.network);
        // At once: a subnet that comes later is not seen by all of Hetzner for some seconds.
        let zone = self.wanted.network_zone.clone();
        let subnet = models::Subnet::new(zone, models::subnet::Type::Cloud);
        let subnet = models::Subnet { ip_range: Some(wants.clone()), ..subnet };
        let mut request = models::CreateNetworkRequest::new(wants.clone(), name.clone());
        request.subnets = Some(vec![subnet]);
        let found = self.ensure_made("network", request).await?;
        match found.ip_range.as_ref().filter(|has| *has != wants) {
            None => Ok(found),
            Some(has) => {
                let (name, has, wants) = (name.clone(), has.clone(), wants.clone());
                Err(SiteError::Differs { kind: "network", name, has, wants })
            }
        }
    }

    pub(super) async fn firewall(&self) -> Result<Resource, SiteError> {
        let mut request = models::CreateFirewallRequest::new(self.wanted.cluster.clone());
        request.rules = Some(vec![self.ssh_rule()]);
        self.ensure_made("firewall", request).await
    }

    /// The public interface lets operators' SSH in, and nothing else.
    fn ssh_rule(&self) -> models::Rule {
        models::Rule {
            source_ips: Some(self.wanted.operators.clone()),
            port: Some(Some("22".to_owned())),
            ..models::Rule::new(models::rule::Direction::In, models::rule::Protocol::Tcp)
        }
    }

    pub(super) async fn placement_group(&self) -> Result<Resource, SiteError> {
        let spread = models::create_placementgroup_request::Type::Spread;
        let name = self.wanted.cluster.clone();
        let request = models::CreatePlacementgroupRequest::new(name, spread);
        self.ensure_made("placement-group", request).await
    }

    /// The operator's key. A project holds a key once: under another name it is somebody else's, and serves as well.
    pub(super) async fn ssh_key(&self) -> Result<Resource, SiteError> {
        if let Some(same) = self.same_key().await? {
            return Ok(same);
        }
        let name = format!("{}-operator", self.wanted.cluster);
        let public_key = self.wanted.public_key.clone();
        self.ensure_made("ssh-key", models::CreateSshKeyRequest::new(name, public_key)).await
    }

    async fn same_key(&self) -> Result<Option<Resource>, ApiError> {
        // What follows is a comment.
        let bytes =
            |key: &str| key.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
        let wanted = bytes(&self.wanted.public_key);
        let is_same =
            |key: &Resource| key.public_key.as_deref().is_some_and(|key| bytes(key) == wanted);
        Ok(self.api.list::<Resource>("ssh_keys", &[]).await?.into_iter().find(is_same))
    }

    pub(super) async fn volume(&self, node: &str) -> Result<Resource, SiteError> {
        let size = i32::try_from(self.wanted.volume_gb).unwrap_or(i32::MAX);
        let mut request = models::CreateVolumeRequest::new(self.volume_name(node), size);
        request.location = Some(self.wanted.location.clone());
        request.labels = Some([("pgha/node".to_owned(), node.to_owned())].into());
        self.ensure_made("volume", request).await
    }

    pub(super) async fn volume_called(&self, name: &str) -> Result<Option<Resource>, ApiError> {
        self.api.only("volumes", name).await
    }

    pub(super) fn volume_name(&self, node: &str) -> String {
        format!("{}-{node}-data", self.wanted.cluster)
    }
}
