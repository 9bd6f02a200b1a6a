//! Servers and images.

use hcloud::models::{CreateImageFromServerRequest, CreateServerRequest};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::action::Actions;
use crate::api::{Api, Call};
use crate::error::ApiError;
use crate::model::{Action, Begun, Image, Labels, Server, ServerType};

#[derive(Deserialize)]
struct OneServer {
    server: Server,
    #[serde(flatten)]
    actions: Actions,
}

#[derive(Deserialize)]
struct OneImage {
    image: Image,
    #[serde(flatten)]
    actions: Actions,
}

/// What is done to a server and needs no more words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Boots it.
    On,
    /// Takes its power.
    Off,
}

impl Api {
    /// Every server that a label selector names.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn servers(&self, selector: &str) -> Result<Vec<Server>, ApiError> {
        self.list("servers", &[("label_selector", selector)]).await
    }

    /// The server with this number.
    ///
    /// # Errors
    /// When there is none, and when the API refuses or is silent.
    pub async fn server(&self, id: u64) -> Result<Server, ApiError> {
        Ok(self.get::<OneServer>(&format!("servers/{id}"), &[]).await?.server)
    }

    /// The server with this name.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn server_called(&self, name: &str) -> Result<Option<Server>, ApiError> {
        self.only("servers", name).await
    }

    /// Makes a server. It is paid for from then on.
    ///
    /// # Errors
    /// When the API refuses or is silent. Silence leaves open whether it was made: look by its name.
    pub async fn create_server(
        &self,
        request: &CreateServerRequest,
    ) -> Result<Begun<Server>, ApiError> {
        let OneServer { server, actions } = self.post("servers", request).await?;
        Ok(Begun { thing: server, actions: actions.all() })
    }

    /// Deletes a server. Its volumes stay.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn delete_server(&self, id: u64) -> Result<Vec<Action>, ApiError> {
        self.remove(&format!("servers/{id}")).await
    }

    /// Writes another image to the disk of a server and boots it. Without `user_data` it keeps its own.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn rebuild_server(
        &self,
        id: u64,
        image: u64,
        user_data: Option<&str>,
    ) -> Result<Vec<Action>, ApiError> {
        // The request of the crate has no user data.
        let mut body = json!({ "image": image });
        if let Some(user_data) = user_data {
            body["user_data"] = json!(user_data);
        }
        self.act(id, "rebuild", &body).await
    }

    /// Boots a server, or takes its power.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn power(&self, id: u64, power: Power) -> Result<Vec<Action>, ApiError> {
        let command = match power {
            Power::On => "poweron",
            Power::Off => "poweroff",
        };
        self.act(id, command, &json!({})).await
    }

    /// Lets the next boot of a server be into the rescue system, which lets these keys in.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn enable_rescue(&self, id: u64, keys: &[u64]) -> Result<Vec<Action>, ApiError> {
        self.act(id, "enable_rescue", &json!({ "type": "linux64", "ssh_keys": keys })).await
    }

    /// Gives a server a card with this address in a network.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn attach_to_network(
        &self,
        id: u64,
        network: u64,
        ip: std::net::Ipv4Addr,
    ) -> Result<Vec<Action>, ApiError> {
        self.act(id, "attach_to_network", &json!({ "network": network, "ip": ip })).await
    }

    /// An action, whose answer may hold passwords: none of it but the actions is kept.
    async fn act(&self, id: u64, command: &str, body: &Value) -> Result<Vec<Action>, ApiError> {
        let actions: Actions = self.post(&format!("servers/{id}/actions/{command}"), body).await?;
        Ok(actions.all())
    }

    /// Replaces the labels of a server.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn label_server(&self, id: u64, labels: &Labels) -> Result<Server, ApiError> {
        let path = format!("servers/{id}");
        let body = Some(json!({ "labels": labels }));
        let call = Call { method: Method::PUT, path: &path, query: &[], body };
        Ok(self.send::<OneServer>(&call).await?.server)
    }

    /// Every snapshot that a label selector names.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn snapshots(&self, selector: &str) -> Result<Vec<Image>, ApiError> {
        self.list("images", &[("type", "snapshot"), ("label_selector", selector)]).await
    }

    /// Makes a snapshot of a server's disk. It is paid for from then on.
    ///
    /// # Errors
    /// When the API refuses or is silent. Silence leaves open whether it was made: look by its labels.
    pub async fn create_snapshot(
        &self,
        server: u64,
        description: &str,
        labels: &Labels,
    ) -> Result<Begun<Image>, ApiError> {
        let request = CreateImageFromServerRequest {
            description: Some(description.to_owned()),
            labels: Some(labels.clone().into_iter().collect()),
            r#type: Some(hcloud::models::create_image_from_server_request::Type::Snapshot),
        };
        let path = format!("servers/{server}/actions/create_image");
        let OneImage { image, actions } = self.post(&path, &request).await?;
        Ok(Begun { thing: image, actions: actions.all() })
    }

    /// Every kind of server that is sold.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn server_types(&self) -> Result<Vec<ServerType>, ApiError> {
        self.list("server_types", &[]).await
    }
}
