//! Connections to the nodes of a cluster: one SSH session each, and HTTPS clients through its
//! tunnels.

mod ask;
mod daemons;
mod hand_over;
mod isolation;
mod timer;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use pgha_core::Cluster;
use pgha_core::cluster::{Fault, Node, Role};
use pgha_core::service::{etcd, patroni};
use pgha_platform::http::{self, Trust};
use pgha_platform::sql;
use pgha_platform::ssh::{CONNECT_SECONDS, Session, SshError, Target, Tunnel};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::contract::Contract;
use crate::declare;
use crate::etcd::Etcd;
use crate::node_error::{NodeError, with_causes};
use crate::patroni::Patroni;
use crate::pooler::{self, Pooler};
use crate::probe::{Answer, Probe};
use crate::secrets::{PROBE, Secrets};

/// An open connection to one node.
pub struct Link {
    /// The session.
    pub session: Session,
    /// Patroni, on postgres nodes.
    pub patroni: Option<Patroni>,
    /// etcd, on etcd nodes.
    pub etcd: Option<Etcd>,
    /// The units that its own image promises to run. The image may be older than the cluster file.
    pub(crate) units: Vec<String>,
    /// Its doors for SQL clients.
    pub(crate) probe: Probe,
    /// Held for their `Drop`: the clients above go through them.
    tunnels: Vec<Tunnel>,
}

impl Link {
    /// Patroni of this node.
    pub(crate) fn patroni(&self) -> Result<&Patroni, NodeError> {
        self.patroni.as_ref().ok_or(NodeError::Absent("Patroni"))
    }

    /// Runs a query as the superuser in its PostgreSQL. Returns one line per row.
    async fn sql(&self, query: &str) -> Result<String, NodeError> {
        Ok(declare::sql(&self.session, "postgres", query).await?)
    }

    /// The poolers of this node.
    pub(crate) fn poolers(&self) -> impl Iterator<Item = Pooler> {
        let doors = self.units.iter().filter_map(|unit| pooler::door(unit));
        doors.filter_map(|door| {
            Some(Pooler { door: door.to_owned(), port: *self.probe.doors.get(door)? })
        })
    }

    /// etcd of this node.
    pub(crate) fn etcd(&self) -> Result<&Etcd, NodeError> {
        self.etcd.as_ref().ok_or(NodeError::Absent("etcd"))
    }
}

/// Every node of a cluster. Connections open when first needed and again after a break.
pub struct Fleet {
    /// The nodes, by name.
    pub nodes: Vec<Node>,
    secrets: Arc<Secrets>,
    /// For how long clients may be held back while the leader changes.
    longest_hold: Duration,
    links: std::sync::Mutex<BTreeMap<String, Arc<Mutex<Slot>>>>,
}

/// What is known about the connection to a node.
#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    /// When a connection attempt last got no answer.
    silent: Option<Instant>,
}

/// A node that did not answer is not tried again for this long. One look at a cluster asks a dozen
/// questions, and each would wait as long as the first.
const SILENCE: Duration = Duration::from_secs(1);

impl Fleet {
    /// The nodes of a cluster. Connects to none yet.
    pub fn new(cluster: &Cluster, secrets: Arc<Secrets>) -> Self {
        let stop = cluster.write_stop(Fault::Switchover).worst_seconds;
        let longest_hold = Duration::from_secs_f64(stop);
        Self { nodes: cluster.nodes.clone(), secrets, longest_hold, links: Default::default() }
    }

    /// The same nodes without connections, for a question after which the nodes may be gone.
    pub(crate) fn disconnected(&self, cluster: &Cluster) -> Self {
        Self::new(cluster, Arc::clone(&self.secrets))
    }

    /// Those of them that have `role`.
    pub(crate) fn nodes_with(&self, role: Role) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.role_set.has(role))
    }

    /// The secrets for talking to the nodes.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The connection to `node`, opened if there is none.
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub async fn link(&self, node: &Node) -> Result<Arc<Link>, NodeError> {
        let slot = self.slot(&node.name);
        let mut slot = slot.lock().await;
        if let Some(link) = slot.link.as_ref().filter(|link| !link.session.is_closed()) {
            return Ok(Arc::clone(link));
        }
        if slot.silent.is_some_and(|since| since.elapsed() < SILENCE) {
            return Err(SshError::Silent(node.address, CONNECT_SECONDS).into());
        }
        let opened = self.open(node).await;
        let is_silent = matches!(opened, Err(NodeError::Ssh(SshError::Silent(..))));
        slot.silent = is_silent.then(Instant::now);
        let link = Arc::new(opened?);
        slot.link = Some(Arc::clone(&link));
        Ok(link)
    }

    fn slot(&self, node: &str) -> Arc<Mutex<Slot>> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(links.entry(node.to_owned()).or_default())
    }

    /// Runs a program on a node.
    ///
    /// # Errors
    /// When the node does not answer, or the program fails.
    pub async fn run(&self, node: &Node, arguments: &[&str]) -> Result<(), NodeError> {
        self.link(node).await?.session.run(arguments, b"").await?;
        Ok(())
    }

    /// Asks the nodes with `role` one after the other, until one has an answer.
    ///
    /// # Errors
    /// The last node's, when none has.
    pub(crate) async fn first_answer<T, F: Future<Output = Result<T, NodeError>>>(
        &self,
        role: Role,
        ask: impl Fn(Arc<Link>) -> F,
    ) -> Result<T, NodeError> {
        self.first_of(self.nodes.iter().collect(), role, ask).await
    }

    /// The same, in the order of `nodes`.
    ///
    /// # Errors
    /// As [`Fleet::first_answer`].
    pub(crate) async fn first_of<T, F: Future<Output = Result<T, NodeError>>>(
        &self,
        nodes: Vec<&Node>,
        role: Role,
        ask: impl Fn(Arc<Link>) -> F,
    ) -> Result<T, NodeError> {
        let mut outcome = Err(NodeError::Absent(daemon(role)));
        for node in nodes.into_iter().filter(|node| node.role_set.has(role)) {
            outcome = match self.link(node).await {
                Ok(link) => ask(link).await,
                Err(error) => Err(error),
            };
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// Writes in a new client session through every node with a HAProxy.
    ///
    /// # Errors
    /// Why, if a session does not get through within `patience`.
    pub async fn write(&self, patience: Duration) -> Result<(), String> {
        let proxies = self.nodes_with(Role::Haproxy);
        let tried = join_all(proxies.map(async |node| {
            let link = self.link(node).await.map_err(|error| with_causes(&error))?;
            match link.probe.write(&link.session, patience).await {
                Some(Answer::Wrote) => Ok(()),
                Some(Answer::Failed(why)) => Err(format!("{}: {why}", node.name)),
                _ => Err(format!("{}: no primary answered", node.name)),
            }
        }));
        tried.await.into_iter().collect()
    }

    /// What SSH needs to reach `node`.
    pub fn target(&self, node: &Node) -> Target {
        let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
        Target {
            address: node.address,
            host_keys: owned(self.secrets.host_keys(&node.name)),
            keys: owned(self.secrets.operator_keys()),
        }
    }

    async fn open(&self, node: &Node) -> Result<Link, NodeError> {
        let session = Session::connect(&self.target(node)).await?;
        let Contract { units, doors, durability } = Contract::read(&session).await?;
        let probe = self.probe(node, doors, durability)?;
        let mut link =
            Link { session, patroni: None, etcd: None, units, probe, tunnels: Vec::new() };
        if node.role_set.has(Role::Postgres) {
            let (client, url) = self
                .client(&mut link, node, patroni::REST_PORT, "ca", "operator", "Patroni")
                .await?;
            link.patroni = Some(Patroni::new(client, url, &node.name, link.session.clone()));
        }
        if node.role_set.has(Role::Etcd) {
            let (client, url) = self
                .client(&mut link, node, etcd::JSON_PORT, "etcd-ca", "etcd-operator", "etcd")
                .await?;
            link.etcd = Some(Etcd::new(client, url, &node.name));
        }
        Ok(link)
    }

    fn probe(
        &self,
        node: &Node,
        doors: BTreeMap<String, u16>,
        durability: String,
    ) -> Result<Probe, NodeError> {
        let tls = sql::connector(self.secrets.file("ca.crt").expose())?;
        let password = self.secrets.file(&format!("passwords/{}", PROBE)).clone();
        Ok(Probe { tls, password, node: node.name.clone(), doors, durability })
    }

    async fn client(
        &self,
        link: &mut Link,
        node: &Node,
        port: u16,
        ca: &str,
        own: &str,
        daemon: &'static str,
    ) -> Result<(reqwest::Client, String), NodeError> {
        let tunnel = link.session.tunnel(port).await?;
        let file = |name: String| self.secrets.file(&name).expose();
        let trust = Trust {
            ca: file(format!("{ca}.crt")),
            certificate: file(format!("{own}.crt")),
            key: file(format!("{own}.key")),
        };
        let client = http::client(&trust, &node.name, tunnel.address);
        let client = client.map_err(|source| NodeError::Silent {
            daemon,
            node: node.name.clone(),
            source,
        })?;
        let url = format!("https://{}:{}", node.name, tunnel.address.port());
        link.tunnels.push(tunnel);
        Ok((client, url))
    }
}

/// The daemon that is asked on a node with this role.
fn daemon(role: Role) -> &'static str {
    match role {
        Role::Etcd => "etcd",
        Role::Postgres => "Patroni",
        Role::Haproxy => "HAProxy",
    }
}
