//! What servers stand on: volumes, networks, firewalls, placement groups and SSH keys. All of it through the
//! `hcloud` crate, whose models can read these answers.

use hcloud::apis::{
    Error, firewalls_api, networks_api, placement_groups_api, ssh_keys_api, volumes_api,
};
use hcloud::models;

use crate::action::Actions;
use crate::api::Api;
use crate::error::ApiError;
use crate::model::{Action, Begun, Failure, Progress};

/// Everything that a label selector names and that is no server and no image.
#[derive(Debug, Default)]
pub struct Ground {
    /// Volumes.
    pub volumes: Vec<models::Volume>,
    /// Private networks.
    pub networks: Vec<models::Network>,
    /// Firewalls.
    pub firewalls: Vec<models::Firewall>,
    /// Placement groups.
    pub placement_groups: Vec<models::PlacementGroup>,
    /// SSH keys.
    pub ssh_keys: Vec<models::SshKey>,
}

/// What can be deleted, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A volume, and its data.
    Volume(i64),
    /// A private network.
    Network(i64),
    /// A firewall.
    Firewall(i64),
    /// A placement group.
    PlacementGroup(i64),
    /// An SSH key.
    SshKey(i64),
    /// A snapshot.
    Image(i64),
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

    /// Makes a volume. It is paid for from then on.
    ///
    /// # Errors
    /// When the API refuses or is silent. Silence leaves open whether it was made: look by its name.
    pub async fn create_volume(
        &self,
        request: models::CreateVolumeRequest,
    ) -> Result<Begun<models::Volume>, ApiError> {
        let params = volumes_api::CreateVolumeParams { create_volume_request: request };
        let call = || volumes_api::create_volume(&self.configuration, params.clone());
        let made = self.through_crate("POST volumes", false, call).await?;
        Ok(Begun { thing: *made.volume, actions: vec![begun(&made.action)] })
    }

    /// Makes a private network.
    ///
    /// # Errors
    /// As [`Api::create_volume`].
    pub async fn create_network(
        &self,
        request: models::CreateNetworkRequest,
    ) -> Result<models::Network, ApiError> {
        let params = networks_api::CreateNetworkParams { create_network_request: request };
        let call = || networks_api::create_network(&self.configuration, params.clone());
        let made = self.through_crate("POST networks", false, call).await?;
        made.network.map(|network| *network).ok_or_else(|| nothing("POST networks"))
    }

    /// Makes a firewall.
    ///
    /// # Errors
    /// As [`Api::create_volume`].
    pub async fn create_firewall(
        &self,
        request: models::CreateFirewallRequest,
    ) -> Result<models::Firewall, ApiError> {
        let params = firewalls_api::CreateFirewallParams { create_firewall_request: request };
        let call = || firewalls_api::create_firewall(&self.configuration, params.clone());
        let made = self.through_crate("POST firewalls", false, call).await?;
        made.firewall.map(|firewall| *firewall).ok_or_else(|| nothing("POST firewalls"))
    }

    /// Makes a placement group.
    ///
    /// # Errors
    /// As [`Api::create_volume`].
    pub async fn create_placement_group(
        &self,
        request: models::CreatePlacementgroupRequest,
    ) -> Result<models::PlacementGroup, ApiError> {
        let params = placement_groups_api::CreatePlacementgroupParams {
            create_placementgroup_request: request,
        };
        let call =
            || placement_groups_api::create_placementgroup(&self.configuration, params.clone());
        Ok(*self.through_crate("POST placement_groups", false, call).await?.placement_group)
    }

    /// Makes an SSH key known to the project.
    ///
    /// # Errors
    /// As [`Api::create_volume`].
    pub async fn create_ssh_key(
        &self,
        request: models::CreateSshKeyRequest,
    ) -> Result<models::SshKey, ApiError> {
        let params = ssh_keys_api::CreateSshKeyParams { create_ssh_key_request: request };
        let call = || ssh_keys_api::create_ssh_key(&self.configuration, params.clone());
        Ok(*self.through_crate("POST ssh_keys", false, call).await?.ssh_key)
    }

    /// Deletes something. What is gone already is no error.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn delete(&self, piece: Piece) -> Result<(), ApiError> {
        let path = match piece {
            Piece::Volume(id) => format!("volumes/{id}"),
            Piece::Network(id) => format!("networks/{id}"),
            Piece::Firewall(id) => format!("firewalls/{id}"),
            Piece::PlacementGroup(id) => format!("placement_groups/{id}"),
            Piece::SshKey(id) => format!("ssh_keys/{id}"),
            Piece::Image(id) => format!("images/{id}"),
        };
        let call = crate::api::Call {
            method: reqwest::Method::DELETE,
            path: &path,
            query: &[],
            body: None,
        };
        match self.send::<Option<Actions>>(&call).await {
            Err(error) if error.is(&crate::error::Code::NotFound) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// A call of the `hcloud` crate, again where that may help.
    async fn through_crate<T, E, F: Future<Output = Result<T, Error<E>>>>(
        &self,
        name: &str,
        repeatable: bool,
        call: impl Fn() -> F,
    ) -> Result<T, ApiError> {
        self.again(repeatable, || async { call().await.map_err(|error| api_error(name, error)) })
            .await
    }
}

fn begun(action: &models::Action) -> Action {
    let status = match action.status {
        models::action::Status::Running => Progress::Running,
        models::action::Status::Success => Progress::Success,
        models::action::Status::Error => Progress::Error,
    };
    let message = action.error.as_ref().map(|error| Failure { message: error.message.clone() });
    Action { id: action.id.unsigned_abs(), command: action.command.clone(), status, error: message }
}

/// An answer without the thing that was made.
fn nothing(call: &str) -> ApiError {
    ApiError::Empty { call: call.to_owned() }
}

fn api_error<E>(call: &str, error: Error<E>) -> ApiError {
    let call = call.to_owned();
    match error {
        Error::Reqwest(source) => ApiError::Silent { call, source },
        Error::Serde(source) => ApiError::Unreadable { call, source },
        Error::Io(source) => ApiError::Unreadable { call, source: serde_json::Error::io(source) },
        Error::ResponseError(said) => {
            ApiError::refused(&call, said.status.as_u16(), &said.content, None)
        }
    }
}
