//! What most commands need: the checked cluster file and what follows from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgha_core::Cluster;
use pgha_core::plan::Desired;
use pgha_core::render::{self, Rendered};
use pgha_deploy::archive::Archive;
use pgha_deploy::execute::FORMED;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::image::Builder;
use pgha_deploy::secrets::{self, ARCHIVE, Rotation, Secrets, Turn};
use pgha_deploy::seed;
use pgha_platform::local::{Local, Options};
use pgha_platform::{Provider, Server};

use crate::cli::Cli;
use crate::cluster_file;
use crate::failure::Failure;

/// A cluster file and everything that follows from it without touching a server.
pub(crate) struct Workspace {
    pub(crate) file: PathBuf,
    pub(crate) cluster: Cluster,
    pub(crate) rendered: Rendered,
    pub(crate) provider: Local,
    pub(crate) builder: Builder,
}

impl Workspace {
    /// Reads, checks and renders the cluster file. Prints every remark about it.
    pub(crate) fn load(cli: &Cli) -> Result<Self, Failure> {
        let cluster = cluster_file::read(&cli.file)?;
        let rendered = render::render(&cluster)?;
        let provider = Local::new(Options {
            cluster: cluster.name.clone(),
            state_dir: PathBuf::from(&cluster.local_state_dir),
            secrets: secrets_of(&cli.file),
            gateway: cluster.network.cidr.hosts().next().unwrap_or(cluster.network.cidr.network()),
            prefix: cluster.network.cidr.prefix_len(),
        });
        Ok(Self {
            file: cli.file.clone(),
            cluster,
            rendered,
            provider,
            builder: Builder::new(cli.cache.clone()),
        })
    }

    /// The same, with limits that fit the data volumes of this machine.
    pub(crate) fn fitted(mut self) -> Result<Self, Failure> {
        self.cluster.fit(self.provider.volume_bytes()?);
        self.rendered = render::render(&self.cluster)?;
        Ok(self)
    }

    /// The secrets that the cluster file needs. Those that do not exist yet are only in memory.
    pub(crate) async fn secrets(&self) -> Result<Arc<Secrets>, Failure> {
        let running = self.running().await?;
        Ok(Arc::new(Secrets::prepare(&self.secrets_dir(), &self.cluster, &running)?))
    }

    /// The same after a turn of a rotation.
    pub(crate) async fn after_turn(&self, turn: &Turn) -> Result<Arc<Secrets>, Failure> {
        let running = self.running().await?;
        Ok(Arc::new(Secrets::after_turn(&self.secrets_dir(), &self.cluster, &running, turn)?))
    }

    /// The rotation that is under way.
    pub(crate) async fn rotation(&self) -> Result<Option<Rotation>, Failure> {
        let running = self.running().await?;
        Ok(Secrets::rotation_in(&self.secrets_dir(), &self.cluster, &running)?)
    }

    /// Names of the nodes that have servers.
    async fn running(&self) -> Result<Vec<String>, Failure> {
        Ok(self.servers().await?.into_iter().map(|server| server.name).collect())
    }

    /// The cluster's servers.
    ///
    /// Fails if they belong to another cluster with the same name, or if the secrets belong to a
    /// cluster with another name.
    pub(crate) async fn servers(&self) -> Result<Vec<Server>, Failure> {
        let servers = self.provider.servers().await?;
        secrets::not_anothers(&servers, &self.secrets_dir(), &self.cluster.name)?;
        Ok(servers)
    }

    /// The secrets and connections of a cluster that exists.
    pub(crate) async fn fleet(&self) -> Result<(Arc<Secrets>, Arc<Fleet>), Failure> {
        if self.servers().await?.is_empty() {
            return Err(self.no_servers());
        }
        let secrets = self.secrets().await?;
        Ok((Arc::clone(&secrets), Arc::new(Fleet::new(&self.cluster, secrets))))
    }

    /// The cluster was never made, it was made on another machine, or its state directory is not
    /// mounted. The mark beside the secrets shows whether it was ever made.
    pub(crate) fn no_servers(&self) -> Failure {
        let (name, dir) = (&self.cluster.name, &self.cluster.local_state_dir);
        if !self.secrets_dir().join(FORMED).exists() {
            return Failure::no(format!("cluster `{name}` has no servers"))
                .hint("run `pgha up` first");
        }
        let failure =
            Failure::no(format!("cluster `{name}` was formed, but {dir} has none of its servers"));
        failure.hint(
            "run pgha on the machine that has the nodes, mount the disk, or set provider.local.state_dir back; if the data is gone for good, `pgha destroy` and begin anew",
        )
    }

    pub(crate) fn secrets_dir(&self) -> PathBuf {
        secrets_of(&self.file)
    }

    /// What the nodes boot from.
    pub(crate) fn archive(&self) -> Archive {
        Archive::new(self.secrets_dir().join(ARCHIVE))
    }

    /// What the cluster should be.
    pub(crate) fn desired(
        &self,
        manifest: &pgha_core::manifest::Manifest,
        secrets: &Secrets,
    ) -> Desired<'_> {
        let (images, seeds, data) = Default::default();
        let mut desired = Desired {
            cluster: &self.cluster,
            images,
            seeds,
            data,
            dynamic: &self.rendered.dynamic,
        };
        for node in &self.cluster.nodes {
            if let Some(image) = manifest.image(&node.role_set) {
                desired.images.insert(node.name.clone(), image.digest());
                desired
                    .data
                    .extend(image.data_format(&self.cluster).map(|data| (node.name.clone(), data)));
            }
            let seed = seed::digest(&self.rendered, node, secrets);
            desired.seeds.insert(node.name.clone(), seed);
        }
        desired
    }

    /// Fails if the cluster file declares no such user.
    pub(crate) fn has_user(&self, name: &str) -> Result<(), Failure> {
        let users = &self.cluster.postgresql.users;
        match users.iter().any(|user| user == name) {
            true => Ok(()),
            false => Err(Failure::no(format!("the cluster file has no user `{name}`"))
                .hint(format!("its users are {}", users.join(", ")))),
        }
    }

    /// The node called `name`.
    pub(crate) fn node(&self, name: &str) -> Result<&pgha_core::cluster::Node, Failure> {
        self.cluster.node(name).ok_or_else(|| {
            let names =
                self.cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>();
            Failure::no(format!("cluster `{}` has no node `{name}`", self.cluster.name))
                .hint(format!("its nodes are {}", names.join(", ")))
        })
    }
}

fn secrets_of(file: &Path) -> PathBuf {
    let dir = Secrets::dir_of(file);
    std::path::absolute(&dir).unwrap_or(dir)
}
