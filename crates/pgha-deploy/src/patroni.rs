//! Patroni's REST interface.

use pgha_core::Dynamic;
use std::collections::BTreeMap;

use pgha_platform::command::shortened;
use pgha_platform::http;
use pgha_platform::ssh::Session;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::instance::Instance;
use crate::node_error::{ANSWER, NodeError};
use crate::seed::PATRONI_SECRETS;

/// Patroni of one node.
pub struct Patroni {
    client: reqwest::Client,
    url: String,
    node: String,
    session: Session,
    password: OnceCell<Zeroizing<String>>,
}

/// The cluster as one Patroni sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its members.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Whether automatic failover is paused.
    #[serde(default)]
    pub pause: bool,
}

impl View {
    /// Whether a changed parameter waits for a restart of a member.
    pub fn waits_for_restart(&self) -> bool {
        self.members.iter().any(|member| member.pending_restart)
    }
}

/// One member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Name of its node.
    pub name: String,
    /// `leader`, `replica`, `sync_standby`, `quorum_standby`.
    pub role: String,
    /// `running`, `streaming`, `starting`, `stopped`, ...
    pub state: String,
    /// Its timeline.
    #[serde(default)]
    pub timeline: Option<u64>,
    /// Bytes of WAL it has not received; absent on the leader, or when unknown.
    #[serde(default, deserialize_with = "bytes_or_unknown")]
    pub receive_lag: Option<u64>,
    /// Bytes of WAL it has not replayed: changes that its readers do not see yet.
    #[serde(default, deserialize_with = "bytes_or_unknown")]
    pub replay_lag: Option<u64>,
    /// Whether a changed parameter waits for a restart.
    #[serde(default)]
    pub pending_restart: bool,
    /// The parameters that wait, with their old and new values.
    #[serde(default)]
    pub pending_restart_reason: BTreeMap<String, Change>,
}

/// What a parameter runs with, and what it was given. Patroni writes numbers as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The value in use.
    pub old_value: String,
    /// The value after a restart.
    pub new_value: String,
}

fn bytes_or_unknown<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64())
}

impl Member {
    /// Whether it holds the leader lock and runs.
    pub fn is_leader(&self) -> bool {
        self.role == "leader" && self.state == "running"
    }

    /// Whether it is a replica that follows the leader.
    pub fn is_streaming(&self) -> bool {
        self.role != "leader" && self.state == "streaming"
    }

    /// Whether the leader waits for it before it acknowledges.
    pub fn is_synchronous(&self) -> bool {
        matches!(self.role.as_str(), "sync_standby" | "quorum_standby")
    }
}

/// Answers of Patroni 4.1 (`ha.py`, `restart`) when no restart is pending, or when it is busy
/// already.
const NOT_NOW: [&str; 2] = ["restart conditions are not satisfied", "already in progress"];

/// What it answers when PostgreSQL was stopped and does not answer yet, or does not start.
const AFTER_RESTART: [&str; 2] = ["still starting", "restart failed"];

/// Its name in error messages.
const DAEMON: &str = "Patroni";

impl Patroni {
    pub(crate) fn new(client: reqwest::Client, url: String, node: &str, session: Session) -> Self {
        Self { client, url, node: node.to_owned(), session, password: OnceCell::new() }
    }

    fn silent(&self, source: reqwest::Error) -> NodeError {
        NodeError::Silent { daemon: DAEMON, node: self.node.clone(), source }
    }

    /// The members and their roles, which Patroni reads from etcd.
    ///
    /// # Errors
    /// When Patroni does not answer.
    pub async fn cluster(&self) -> Result<View, NodeError> {
        self.read("cluster").await
    }

    /// The state of its own PostgreSQL.
    ///
    /// # Errors
    /// When Patroni does not answer.
    pub async fn instance(&self) -> Result<Instance, NodeError> {
        self.read("patroni").await
    }

    /// The dynamic configuration.
    ///
    /// # Errors
    /// When Patroni does not answer.
    pub async fn config(&self) -> Result<Dynamic, NodeError> {
        self.read("config").await
    }

    /// The HTTP status tells the role of the node here, so it is not checked.
    async fn read<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, NodeError> {
        let request = self.client.get(format!("{}/{what}", self.url));
        let answer = request.send().await.map_err(|error| self.silent(error))?;
        let text = http::text(answer).await.map_err(|error| self.silent(error))?;
        let node = self.node.clone();
        let unreadable = |source| NodeError::Unreadable { daemon: DAEMON, node, source };
        serde_json::from_str(&text).map_err(unreadable)
    }

    /// Replaces the dynamic configuration as a whole.
    ///
    /// # Errors
    /// When Patroni refuses or does not answer.
    pub async fn set_config(&self, config: &Dynamic) -> Result<(), NodeError> {
        self.write(self.client.put(format!("{}/config", self.url)).json(config)).await.map(drop)
    }

    /// Makes PostgreSQL of this node read its configuration files again.
    ///
    /// # Errors
    /// When Patroni refuses or does not answer.
    pub async fn reload(&self) -> Result<(), NodeError> {
        self.write(self.client.post(format!("{}/reload", self.url))).await.map(drop)
    }

    /// Restarts PostgreSQL of this node if a changed parameter waits for it. Returns when it runs
    /// again. `false`: nothing waits, or Patroni is busy already.
    ///
    /// # Errors
    /// When Patroni refuses or does not answer.
    pub async fn restart_if_pending(&self) -> Result<bool, NodeError> {
        let request = self
            .client
            .post(format!("{}/restart", self.url))
            .json(&json!({ "restart_pending": true }));
        match self.write(request).await {
            Err(NodeError::Refused { answer, .. })
                if NOT_NOW.iter().any(|words| answer.contains(words)) =>
            {
                Ok(false)
            }
            // The restart has begun, or has failed. The gate that follows finds out which.
            Err(NodeError::Refused { answer, .. })
                if AFTER_RESTART.iter().any(|words| answer.contains(words)) =>
            {
                Ok(true)
            }
            answer => answer.map(|_| true),
        }
    }

    /// Deletes the data of this replica and copies it from the leader. Returns when that has begun.
    ///
    /// # Errors
    /// When Patroni refuses or does not answer. It refuses on a leader, which has no member to copy
    /// from.
    pub async fn reinitialize(&self) -> Result<(), NodeError> {
        let body = json!({ "force": true });
        self.write(self.client.post(format!("{}/reinitialize", self.url)).json(&body))
            .await
            .map(drop)
    }

    /// Hands the leadership over.
    ///
    /// # Errors
    /// When Patroni refuses or does not answer.
    pub async fn switchover(&self, leader: &str, to: &str) -> Result<(), NodeError> {
        let body = json!({ "leader": leader, "candidate": to });
        let request = self.client.post(format!("{}/switchover", self.url)).json(&body);
        self.write(request).await.map(drop)
    }

    /// Reads the password, so that a later request that changes something needs nothing else first.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn prepare(&self) -> Result<(), NodeError> {
        self.password.get_or_try_init(|| self.read_password()).await.map(drop)
    }

    /// The password that this Patroni asks for. It may differ from the one in the secrets, because a node has what it was given last. The
    /// session ends before the node could be given another one.
    async fn read_password(&self) -> Result<Zeroizing<String>, NodeError> {
        let file = format!("/run/pgha/{PATRONI_SECRETS}");
        let text = Zeroizing::new(self.session.answer(&["cat", &file]).await?);
        let node = self.node.clone();
        let unreadable = |source| NodeError::Unreadable { daemon: DAEMON, node, source };
        let secrets: Value = serde_json::from_str(&text).map_err(unreadable)?;
        let password = secrets["restapi"]["authentication"]["password"].as_str();
        Ok(Zeroizing::new(password.unwrap_or_default().to_owned()))
    }

    /// Sends a request that changes something. Patroni answers when it is done.
    async fn write(&self, request: reqwest::RequestBuilder) -> Result<String, NodeError> {
        let limit = std::time::Duration::from_secs(60);
        let password = self.password.get_or_try_init(|| self.read_password()).await?;
        let request = request.basic_auth("pgha", Some(password.as_str())).timeout(limit);
        let answer = request.send().await.map_err(|error| self.silent(error))?;
        let status = answer.status();
        let text = http::text(answer).await.map_err(|error| self.silent(error))?;
        if status.is_success() {
            return Ok(shortened(&text, ANSWER));
        }
        Err(NodeError::refused(DAEMON, &self.node, status, &text))
    }
}
