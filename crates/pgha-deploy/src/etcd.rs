//! etcd, through its JSON gateway.

use serde::Deserialize;
use serde_json::json;

use crate::fleet::NodeError;

/// One etcd member.
pub struct Etcd {
    client: reqwest::Client,
    url: String,
    node: String,
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EtcdStatus {
    /// Version of the daemon.
    pub version: String,
    /// Whether this member leads.
    pub leader: bool,
    /// Whether the cluster has a leader, as far as this member knows.
    pub has_leader: bool,
    /// Bytes of its database.
    pub db_bytes: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    header: Header,
    version: String,
    #[serde(default)]
    leader: String,
    #[serde(default)]
    db_size: String,
    #[serde(default)]
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    member_id: String,
}

impl Etcd {
    pub(crate) fn new(client: reqwest::Client, url: String, node: &str) -> Self {
        Self { client, url, node: node.to_owned() }
    }

    /// Calls a method of etcd's v3 API through its JSON gateway, for example `kv/txn`.
    ///
    /// # Errors
    /// When the member does not answer, or refuses.
    pub async fn call(
        &self,
        method: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value, NodeError> {
        let fail = |source| NodeError::Http { daemon: "etcd", node: self.node.clone(), source };
        let request = self.client.post(format!("{}/v3/{method}", self.url)).json(body);
        request
            .send()
            .await
            .and_then(|a| a.error_for_status())
            .map_err(fail)?
            .json()
            .await
            .map_err(fail)
    }

    /// Asks the member for its state.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self) -> Result<EtcdStatus, NodeError> {
        let fail = |source| NodeError::Http { daemon: "etcd", node: self.node.clone(), source };
        let request =
            self.client.post(format!("{}/v3/maintenance/status", self.url)).json(&json!({}));
        let answer: Answer = request
            .send()
            .await
            .and_then(|a| a.error_for_status())
            .map_err(fail)?
            .json()
            .await
            .map_err(fail)?;
        let has_leader = !matches!(answer.leader.as_str(), "" | "0") && answer.errors.is_empty();
        Ok(EtcdStatus {
            leader: answer.leader == answer.header.member_id,
            has_leader,
            version: answer.version,
            db_bytes: answer.db_size.parse().unwrap_or(0),
        })
    }
}
