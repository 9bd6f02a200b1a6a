//! The resources of one cluster in a project. Every method may be repeated, after a success as after being
//! interrupted anywhere: names are unique in a project, so what an interrupted run made is found by its name.
//!
//! What does not carry the cluster's label is somebody else's: it is never changed and never deleted.

mod ground;
mod server;

use std::time::Duration;

use crate::api::Api;
use crate::error::{ApiError, Code};
use crate::model::{Labels, Server, Status};

pub use server::{Node, Rebuild};

/// The label that says whose a resource is.
const CLUSTER: &str = "pgha/cluster";

/// How long Hetzner may take for one thing: the largest servers boot within two minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// How often something is looked for or made anew because nobody knows what became of it.
const LOOKS: u32 = 5;

/// What a cluster asks of a project.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub cluster: String,
    /// Where its servers and volumes are.
    pub location: String,
    /// The zone of the location, which its network is in.
    pub network_zone: String,
    /// Kinds of server, best first: Hetzner may have none left of one.
    pub server_types: Vec<String>,
    /// Its private network, as CIDR.
    pub network: String,
    /// Networks of operators, as CIDR: who may reach the nodes' SSH.
    pub operators: Vec<String>,
    /// The operator's public SSH key. Without one Hetzner would make a password, and mail it.
    pub public_key: String,
    /// Gigabytes of each data volume.
    pub volume_gb: u32,
}

/// The resources of one cluster.
pub struct Site {
    api: Api,
    wanted: Wanted,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The API refused, or was silent.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Something that is not the cluster's has the name that it needs.
    #[error("there is a {kind} called `{name}` that is not of this cluster; it was left as it is")]
    Foreign {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Hetzner has no server of any wanted kind in the location.
    #[error("Hetzner has none of {} in {location} now", server_types.join(", "))]
    SoldOut {
        /// What was asked for.
        server_types: Vec<String>,
        /// Where.
        location: String,
    },
    /// The network of the cluster is not there.
    #[error("the network `{0}` is not there")]
    NoNetwork(String),
    /// No server has this name.
    #[error("there is no server `{0}`")]
    NoServer(String),
    /// The project has no snapshot of an image.
    #[error("no snapshot holds the image {0}")]
    NoSnapshot(String),
    /// A server did not come to the state that it should.
    #[error("server `{name}` was not {what} within {seconds} s")]
    Slow {
        /// Its name.
        name: String,
        /// What was awaited.
        what: &'static str,
        /// The bound.
        seconds: u64,
    },
}

/// Something that has labels and a name that no other of its kind has.
pub(crate) trait Ours {
    fn label(&self, key: &str) -> Option<&str>;
}

impl Site {
    /// Those of a cluster. Asks nothing yet.
    pub fn new(api: Api, wanted: Wanted) -> Self {
        Self { api, wanted }
    }

    /// Its servers, by name.
    ///
    /// # Errors
    /// When the API refuses or is silent.
    pub async fn servers(&self) -> Result<Vec<Server>, SiteError> {
        Ok(self.api.servers(&self.selector()).await?)
    }

    fn selector(&self) -> String {
        format!("{CLUSTER}={}", self.wanted.cluster)
    }

    /// Labels of a resource of this kind.
    fn labels(&self, kind: &str) -> Labels {
        let labels = [(CLUSTER, self.wanted.cluster.as_str()), ("pgha/kind", kind)];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// Finds something, or makes it. Where nobody knows whether it was made, it is looked for again.
    async fn ensure<T: Ours, F, M>(
        &self,
        kind: &'static str,
        name: &str,
        find: impl Fn() -> F,
        make: impl Fn() -> M,
    ) -> Result<T, SiteError>
    where
        F: Future<Output = Result<Option<T>, ApiError>>,
        M: Future<Output = Result<T, SiteError>>,
    {
        let mut looks = 0;
        loop {
            if let Some(found) = find().await? {
                return self.must_be_ours(kind, name, &found).map(|()| found);
            }
            looks += 1;
            match make().await {
                Err(SiteError::Api(error)) if leaves_open(&error) && looks < LOOKS => {
                    tracing::debug!("{error}: looking for {kind} `{name}`");
                    tokio::time::sleep(self.api.pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn must_be_ours(
        &self,
        kind: &'static str,
        name: &str,
        found: &impl Ours,
    ) -> Result<(), SiteError> {
        let is_ours = found.label(CLUSTER) == Some(&self.wanted.cluster);
        is_ours.then_some(()).ok_or_else(|| SiteError::Foreign { kind, name: name.to_owned() })
    }

    /// Repeats what Hetzner refuses for a moment, beyond what every request is repeated for.
    async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        passes: &[Code],
        what: impl Fn() -> F,
    ) -> Result<T, ApiError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            match what().await {
                Err(error)
                    if passes.iter().any(|code| error.is(code))
                        && tokio::time::Instant::now() < until =>
                {
                    tokio::time::sleep(self.api.pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The server with this name, once nothing is done to it any more. Absent: there is none.
    async fn settled(&self, name: &str) -> Result<Option<Server>, SiteError> {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let server = self.api.server_called(name).await?;
            let is_busy = server
                .as_ref()
                .is_some_and(|server| server.locked || server.status == Status::Changing);
            match server {
                server if !is_busy => return Ok(server),
                _ if tokio::time::Instant::now() > until => {
                    let (name, seconds) = (name.to_owned(), PATIENCE.as_secs());
                    return Err(SiteError::Slow { name, what: "left alone", seconds });
                }
                _ => tokio::time::sleep(self.api.pause).await,
            }
        }
    }
}

/// Whether the thing may be there all the same: made without a word, or by another try.
fn leaves_open(error: &ApiError) -> bool {
    match error {
        ApiError::Silent { .. } | ApiError::Unreadable { .. } | ApiError::Empty { .. } => true,
        error => [Code::BadGateway, Code::Timeout, Code::UniquenessError]
            .iter()
            .any(|code| error.is(code)),
    }
}
