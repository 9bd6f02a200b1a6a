//! What servers stand on: volumes, networks, firewalls, placement groups and SSH keys.

use std::collections::HashMap;

use hcloud::models;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::action::Actions;
use crate::api::Api;
use crate::error::{ApiError, Code};
use crate::model::{Action, Begun, Resource};

/// Everything that a label selector names and that is no server and no image.
#[derive(Debug, Default)]
pub struct Ground {
    /// Volumes.
    pub volumes: Vec<Resource>,
    /// Private networks.
    pub networks: Vec<Resource>,
    /// Firewalls.
    pub firewalls: Vec<Resource>,
    /// Placement groups.
    pub placement_groups: Vec<Resource>,
    /// SSH keys.
    pub ssh_keys: Vec<Resource>,
}

/// Something that can be deleted, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A volume, and its data.
    Volume(u64),
    /// A private network.
    Network(u64),
    /// A firewall.
    Firewall(u64),
    /// A placement group.
    PlacementGroup(u64),
    /// An SSH key.
    SshKey(u64),
    /// A snapshot.
    Image(u64),
}

impl Piece {
    fn path(self) -> String {
        match self {
            Self::Volume(id) => format!("volumes/{id}"),
            Self::Network(id) => format!("networks/{id}"),
            Self::Firewall(id) => format!("firewalls/{id}"),
            Self::PlacementGroup(id) => format!("placement_groups/{id}"),
            Self::SshKey(id) => format!("ssh_keys/{id}"),
            Self::Image(id) => format!("images/{id}"),
        }
    }
}

/// A request that makes something.
pub trait Request: Serialize {
    /// What the API calls things of this kind.
    const KINDS: &'static str;

    /// The name of the thing.
    fn name(&self) -> &str;

    /// Its labels.
    fn labels(&mut self) -> &mut Option<HashMap<String, String>>;
}

macro_rules! requests {
    ($($type:ident $kinds:literal),+) => {
        $(impl Request for models::$type {
            const KINDS: &'static str = $kinds;

            fn name(&self) -> &str {
                &self.name
            }

            fn labels(&mut self) -> &mut Option<HashMap<String, String>> {
                &mut self.labels
            }
        })+
    };
}

requests!(
    CreateVolumeRequest "volumes",
    CreateNetworkRequest "networks",
    CreateFirewallRequest "firewalls",
    CreatePlacementgroupRequest "placement_groups",
    CreateSshKeyRequest "ssh_keys"
);

/// An answer that holds what was made, under the name of its kind.
#[derive(Deserialize)]
struct Made {
    #[serde(alias = "volume", alias = "network", alias = "firewall")]
    #[serde(alias = "placement_group", alias = "ssh_key")]
    resource: Resource,
    #[serde(flatten)]
    actions: Actions,
}

impl Api {
    /// Everything that a label selector names, asked for at once.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn ground(&self, selector: &str) -> Result<Ground, ApiError> {
        let query = [("label_selector", selector)];
        let (volumes, networks, firewalls, placement_groups, ssh_keys) = tokio::try_join!(
            self.list("volumes", &query),
            self.list("networks", &query),
            self.list("firewalls", &query),
            self.list("placement_groups", &query),
            self.list("ssh_keys", &query)
        )?;
        Ok(Ground { volumes, networks, firewalls, placement_groups, ssh_keys })
    }

    /// Makes something. A volume is paid for from then on.
    ///
    /// # Errors
    /// When the API refuses or is silent. Silence leaves open whether it was made: look by its name.
    pub async fn create<R: Request>(&self, request: &R) -> Result<Begun<Resource>, ApiError> {
        let Made { resource, actions } = self.post(R::KINDS, request).await?;
        Ok(Begun { thing: resource, actions: actions.all() })
    }

    /// Gives a firewall these rules, in place of those it has.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn set_rules(
        &self,
        firewall: u64,
        rules: &[models::Rule],
    ) -> Result<Vec<Action>, ApiError> {
        let path = format!("firewalls/{firewall}/actions/set_rules");
        Ok(self.post::<Actions>(&path, &json!({ "rules": rules })).await?.all())
    }

    /// Attaches a volume to a server.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn attach_volume(&self, volume: u64, server: u64) -> Result<Vec<Action>, ApiError> {
        let path = format!("volumes/{volume}/actions/attach");
        let request = json!({ "server": server, "automount": false });
        Ok(self.post::<Actions>(&path, &request).await?.all())
    }

    /// Deletes something. What is gone already is no error.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn delete(&self, piece: Piece) -> Result<(), ApiError> {
        match self.remove(&piece.path()).await {
            Err(error) if error.is(&Code::NotFound) => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}
