//! Everything that a command needs to change the cluster.

use std::path::Path;
use std::sync::Arc;

use pgha_core::Digest;
use pgha_core::inventory::Server;
use pgha_core::manifest::Manifest;
use pgha_core::plan::Plan;
use pgha_deploy::archive::Archive;
use pgha_deploy::execute;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::image::given;
use pgha_deploy::journal::Journal;
use pgha_deploy::operate::Goal;
use pgha_deploy::operator::Operator;
use pgha_deploy::secrets::Secrets;
use pgha_deploy::session::Consent;
use pgha_platform::Check;
use pgha_platform::local::Local;

use super::exclusive::exclusion;
use super::preflight;
use crate::failure::Failure;
use crate::print;
use crate::workspace::Workspace;

/// Everything an operator needs, made from the cluster file.
pub(super) struct Prepared<'w> {
    workspace: &'w Workspace,
    manifest: Manifest,
    pub(super) secrets: Arc<Secrets>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) archive: Archive,
    journal: Journal,
    pub(super) way_back: bool,
}

impl<'w> Prepared<'w> {
    /// Builds the images, unless there are some already. With `install`, Debian packages that this
    /// machine lacks are installed first, including those that `extra` finds missing.
    pub(super) async fn new(
        workspace: &'w Workspace,
        images: Option<&Path>,
        extra: fn() -> Vec<Check>,
        install: bool,
    ) -> Result<Self, Failure> {
        preflight::require(workspace, extra, install).await?;
        state_dir_is_there(workspace).await?;
        let (cluster, rendered) = (&workspace.cluster, &workspace.rendered);
        let manifest = match images {
            Some(path) => given::read(path, cluster, rendered)?,
            None => workspace.builder.build(cluster, rendered, false).await?,
        };
        let secrets = workspace.secrets().await?;
        let fleet = Arc::new(Fleet::new(cluster, Arc::clone(&secrets)));
        let journal = Journal::new(secrets.path("journal.jsonl"));
        let archive = workspace.archive();
        Ok(Self { workspace, manifest, secrets, fleet, archive, journal, way_back: true })
    }

    /// Whether every node has the seed that the secrets give.
    pub(super) fn is_delivered(&self, servers: &[Server]) -> bool {
        let seeds = self.operator().desired.seeds;
        let has = |(node, seed): (&String, &Digest)| {
            servers.iter().any(|server| server.name == *node && server.given.seed == *seed)
        };
        seeds.iter().all(has)
    }

    pub(super) fn operator(&self) -> Operator<'_, Local, Fleet> {
        Operator {
            provider: &self.workspace.provider,
            daemons: self.fleet.as_ref(),
            desired: self.workspace.desired(&self.manifest, &self.secrets),
            rendered: &self.workspace.rendered,
            manifest: &self.manifest,
            secrets: &self.secrets,
            archive: &self.archive,
            journal: &self.journal,
            way_back: self.way_back,
        }
    }

    /// Plans, asks, and carries out, as the command called `purpose`.
    pub(super) async fn plan_and_apply(
        &self,
        goal: Goal,
        purpose: &str,
        yes: bool,
    ) -> Result<(), Failure> {
        let exclusion = exclusion(self.workspace, &self.fleet, purpose);
        Ok(self.operator().plan_and_apply(goal, &exclusion, &Terminal { yes }).await?)
    }
}

/// An operator at a terminal, or `--yes`.
struct Terminal {
    yes: bool,
}

impl Consent for Terminal {
    fn is_given(&self) -> bool {
        self.yes
    }

    fn show(&self, plan: &Plan) {
        print::note(plan.to_string().trim_end());
    }

    async fn ask(&self) -> bool {
        print::confirm("Carry it out?")
    }
}

/// If a formed cluster has no servers, its state directory is missing: it must not be made again.
async fn state_dir_is_there(workspace: &Workspace) -> Result<(), Failure> {
    let mark = workspace.secrets_dir().join(execute::FORMED);
    let lost = workspace.servers().await?.is_empty() && mark.exists();
    if lost { Err(workspace.no_servers()) } else { Ok(()) }
}
