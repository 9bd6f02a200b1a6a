//! Carries a plan out, step by step. Every step may be repeated, so recovery from anything is to plan again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pgha_core::cluster::Node;
use pgha_core::inventory::{Inventory, Server};
use pgha_core::manifest::Manifest;
use pgha_core::plan::{Action, Plan};
use pgha_core::render::Rendered;
use pgha_core::{Cluster, Digest};
use pgha_platform::{Provider, ProviderError, ServerRequest};

use crate::fleet::{Fleet, NodeError};
use crate::gate::{self, GateError};
use crate::health::Health;
use crate::journal::Journal;
use crate::secrets::Secrets;
use crate::{declare, seed};

/// Why a plan was not carried out to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// The provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The cluster did not become healthy.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// A node could not be asked.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A seed could not be written.
    #[error("cannot pack a seed")]
    Seed(#[from] std::io::Error),
    /// The plan names something the cluster file does not have.
    #[error("the plan names `{0}`, which the cluster file does not have")]
    Unknown(String),
    /// The leader vanished between the gate and the step after it.
    #[error("the cluster has no leader")]
    NoLeader,
}

/// What a plan is carried out with.
pub struct Executor<'e, P> {
    /// Where servers run.
    pub provider: &'e P,
    /// The nodes.
    pub fleet: &'e Fleet,
    /// The cluster.
    pub cluster: &'e Cluster,
    /// Its files.
    pub rendered: &'e Rendered,
    /// Its images.
    pub manifest: &'e Manifest,
    /// Its secrets.
    pub secrets: &'e Secrets,
    /// Where steps are noted.
    pub journal: &'e Journal,
}

/// The provider's servers in the plan's terms.
///
/// # Errors
/// When the provider cannot be asked.
pub async fn observe<P: Provider>(provider: &P) -> Result<Inventory, ProviderError> {
    let label = |server: &pgha_platform::Server, name: &str| server.labels.get(name).cloned().unwrap_or_default();
    let servers = provider.servers().await?.into_iter().map(|server| Server {
        image: Digest::from(label(&server, "image")),
        seed: Digest::from(label(&server, "seed")),
        formed: label(&server, "formed") == "yes",
        running: server.running,
        name: server.name,
    });
    Ok(Inventory { servers: servers.collect() })
}

/// Deletes everything a destroy plan names.
///
/// # Errors
/// When the provider fails. What was deleted stays deleted; another run goes on.
pub async fn destroy<P: Provider>(provider: &P, plan: &Plan) -> Result<(), ProviderError> {
    for step in &plan.steps {
        match &step.action {
            Action::DeleteServer { node } => {
                tracing::info!("deleting {node} and its data");
                provider.delete_server(node).await?;
            }
            Action::DeleteNetwork => provider.delete_network().await?,
            _ => {}
        }
    }
    Ok(())
}

impl<P: Provider> Executor<'_, P> {
    /// Carries out every step in order and stops at the first that fails.
    ///
    /// # Errors
    /// The failed step's.
    pub async fn run(&self, plan: &Plan) -> Result<(), ExecuteError> {
        for step in &plan.steps {
            self.journal.note(plan, step, "begun");
            let result = self.step(&step.action).await;
            let outcome = result.as_ref().map_or_else(ToString::to_string, |()| "done".to_owned());
            self.journal.note(plan, step, &outcome);
            result?;
        }
        Ok(())
    }

    async fn step(&self, action: &Action) -> Result<(), ExecuteError> {
        match action {
            Action::CreateNetwork => Ok(self.provider.create_network().await?),
            Action::CreateServer { node, .. } => self.create(node).await,
            Action::PowerOn { node } => {
                tracing::info!("{node}: powering on");
                Ok(self.provider.power_on(node).await?)
            }
            Action::Gate(gate) => gate::healthy(self.provider, self.fleet, self.cluster, *gate).await.map(drop).map_err(Into::into),
            Action::Declare => self.declare().await,
            Action::Seal => self.seal().await,
            Action::DeleteServer { node } => Ok(self.provider.delete_server(node).await?),
            Action::DeleteNetwork => Ok(self.provider.delete_network().await?),
        }
    }

    async fn create(&self, name: &str) -> Result<(), ExecuteError> {
        let unknown = || ExecuteError::Unknown(name.to_owned());
        let node = self.cluster.node(name).ok_or_else(unknown)?;
        let image = self.manifest.image(&node.role_set).ok_or_else(unknown)?;
        let seed = seed::pack(self.rendered, node, self.secrets)?;
        tracing::info!("{name}: booting image {}", image.digest().short());
        let request = ServerRequest {
            name: node.name.clone(),
            address: node.address,
            package_root: PathBuf::from(&image.package_root.path),
            configuration: PathBuf::from(&image.configuration.path),
            seed: seed.archive.to_vec(),
            volume: volume(self.cluster, node),
            labels: BTreeMap::from([("image".to_owned(), image.digest().to_string()), ("seed".to_owned(), seed.digest.to_string())]),
        };
        Ok(self.provider.create_server(&request).await?)
    }

    async fn declare(&self) -> Result<(), ExecuteError> {
        let health = Health::observe(self.fleet).await;
        let leader = health.leader().and_then(|member| self.cluster.node(&member.name)).ok_or(ExecuteError::NoLeader)?;
        let link = self.fleet.link(leader).await?;
        declare::declare(&link.session, self.cluster, self.secrets).await.map_err(NodeError::from)?;
        tracing::info!("roles and databases are there");
        Ok(())
    }

    async fn seal(&self) -> Result<(), ExecuteError> {
        let formed = BTreeMap::from([("formed".to_owned(), "yes".to_owned())]);
        for node in &self.cluster.nodes {
            self.provider.label(&node.name, &formed).await?;
        }
        Ok(())
    }
}

/// Identifier of a node's data volume; the seed names the same.
fn volume(cluster: &Cluster, node: &Node) -> String {
    format!("{}-{}", cluster.name, node.name)
}
