//! etcd, through its JSON gateway.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgha_platform::http;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::node_error::NodeError;

/// Its name in error messages.
const DAEMON: &str = "etcd";

/// The alarm of a member whose database has reached its quota.
pub const NOSPACE: &str = "NOSPACE";

/// That quota, in bytes (`templates/etc/pgha/etcd.env`).
pub const QUOTA: u64 = 2 << 30;

/// How often a refused request is tried again, and the pause between tries.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// One etcd member.
pub struct Etcd {
    client: reqwest::Client,
    url: String,
    node: String,
}

/// What a member says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct EtcdStatus {
    /// Its identifier.
    #[serde(skip)]
    pub member: String,
    /// Version of the daemon.
    pub version: String,
    /// Whether this member leads.
    pub leader: bool,
    /// Whether the cluster has a leader, as far as this member knows.
    pub has_leader: bool,
    /// Bytes of its database.
    pub db_bytes: u64,
    /// Alarms that any member has raised: `NOSPACE`, `CORRUPT`. While there is one, nothing can be
    /// written.
    pub alarms: Vec<String>,
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

/// `memberID:1 alarm:NOSPACE `, as a member writes it among its errors.
fn alarm(error: &str) -> Option<String> {
    error.split("alarm:").nth(1)?.split_whitespace().next().map(str::to_owned)
}

impl Etcd {
    pub(crate) fn new(client: reqwest::Client, url: String, node: &str) -> Self {
        Self { client, url, node: node.to_owned() }
    }

    /// Calls a method of etcd's v3 API through its JSON gateway, for example `kv/txn`.
    ///
    /// # Errors
    /// When the member does not answer, refuses, or gives an answer that pgha does not understand.
    pub async fn call(&self, method: &str, body: &Value) -> Result<Value, NodeError> {
        let silent = |source| NodeError::Silent { daemon: DAEMON, node: self.node.clone(), source };
        let request = self.client.post(format!("{}/v3/{method}", self.url)).json(body);
        let answer = request.send().await.map_err(silent)?;
        let (status, text) = (answer.status(), http::text(answer).await.map_err(silent)?);
        if !status.is_success() {
            return Err(NodeError::refused(DAEMON, &self.node, status, &text));
        }
        self.read(&text)
    }

    /// Asks the member for its state.
    ///
    /// # Errors
    /// As [`Etcd::call`].
    pub async fn status(&self) -> Result<EtcdStatus, NodeError> {
        let answer = self.call("maintenance/status", &json!({})).await?;
        let answer: Answer = self.read(&answer.to_string())?;
        let leaderless = answer.errors.iter().any(|error| error.contains("no leader"));
        let has_leader = !matches!(answer.leader.as_str(), "" | "0") && !leaderless;
        Ok(EtcdStatus {
            leader: answer.leader == answer.header.member_id,
            has_leader,
            version: answer.version,
            member: answer.header.member_id,
            db_bytes: answer.db_size.parse().unwrap_or(0),
            alarms: answer.errors.iter().filter_map(|error| alarm(error)).collect(),
        })
    }

    /// Whether a majority of the members has none of these keys.
    ///
    /// # Errors
    /// As [`Etcd::call`].
    pub async fn has_none(&self, keys: &[String]) -> Result<bool, NodeError> {
        for key in keys {
            let range = json!({ "key": STANDARD.encode(key) });
            let answer = self.call("kv/range", &range).await?;
            // The gateway leaves out what is empty or zero.
            let answered = answer["header"]["revision"].is_string();
            if !answered || !answer["kvs"].is_null() || !answer["count"].is_null() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Transfers etcd's leadership from this member to another, by that member's identifier.
    ///
    /// # Errors
    /// As [`Etcd::call`], and when this member does not lead.
    pub async fn hand_leadership(&self, to: &str) -> Result<(), NodeError> {
        self.call("maintenance/transfer-leadership", &json!({ "targetID": to })).await.map(drop)
    }

    /// Makes room if the database is full of old revisions: drops them and frees their space. The
    /// member does not answer meanwhile. That takes milliseconds for pgha's own data.
    ///
    /// # Errors
    /// As [`Etcd::call`].
    pub async fn make_room(&self) -> Result<(), NodeError> {
        let now = self.call("maintenance/status", &json!({})).await?;
        let compaction = json!({ "revision": now["header"]["revision"], "physical": true });
        match self.call("kv/compaction", &compaction).await {
            // The compaction was already done through another member.
            Err(NodeError::Refused { answer, .. }) if answer.contains("has been compacted") => {}
            answer => drop(answer?),
        }
        self.call("maintenance/defragment", &json!({})).await.map(drop)
    }

    /// Ends every alarm for lack of space.
    ///
    /// # Errors
    /// As [`Etcd::call`], and when there still is no space: the alarm would come back at once.
    pub async fn disarm(&self) -> Result<(), NodeError> {
        let state = self.status().await?;
        if state.db_bytes > QUOTA / 10 * 9 {
            let answer =
                format!("its database of {} bytes holds no old revisions to drop", state.db_bytes);
            return Err(NodeError::Refused { daemon: DAEMON, node: self.node.clone(), answer });
        }
        let raised = self.call("maintenance/alarm", &json!({ "action": "GET" })).await?;
        for alarm in raised["alarms"].as_array().into_iter().flatten() {
            if alarm["alarm"] == NOSPACE {
                let end = json!({ "action": "DEACTIVATE", "memberID": alarm["memberID"], "alarm": NOSPACE });
                self.call("maintenance/alarm", &end).await?;
            }
        }
        Ok(())
    }

    /// Removes the member called `name` from the cluster, if it is in it. Adds a new one that listens for the others at `peer`.
    ///
    /// # Errors
    /// As [`Etcd::call`]; etcd refuses where that could cost its quorum.
    pub async fn replace_member(&self, name: &str, peer: &str) -> Result<(), NodeError> {
        let listed = self.call("cluster/member/list", &json!({})).await?;
        // A member that was added but never started has no name.
        let is_it = |member: &&Value| member["name"] == name || member["peerURLs"] == json!([peer]);
        for member in listed["members"].as_array().into_iter().flatten().filter(is_it) {
            self.call("cluster/member/remove", &json!({ "ID": member["ID"] })).await?;
        }
        // etcd adds no member before it has been connected to all others for 5 s.
        let mut tries = TRIES;
        loop {
            match self.call("cluster/member/add", &json!({ "peerURLs": [peer] })).await {
                Err(NodeError::Refused { answer, .. })
                    if tries > 0 && answer.contains("unhealthy cluster") =>
                {
                    tries -= 1;
                }
                answer => return answer.map(drop),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, NodeError> {
        let unreadable =
            |source| NodeError::Unreadable { daemon: DAEMON, node: self.node.clone(), source };
        serde_json::from_str(text).map_err(unreadable)
    }
}
