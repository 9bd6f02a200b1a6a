//! The resources of one cluster in a project. Every method may be repeated, after a success as after being
//! interrupted anywhere: names are unique in a project, so what an interrupted run made is found by its name.
//!
//! What does not carry the cluster's label is somebody else's: it is never changed and never deleted.

mod ground;
mod rescue;
mod server;
mod upload;

use std::time::Duration;

use pgha_platform::ssh;
use tokio::time::Instant;

use crate::api::Api;
use crate::error::{ApiError, Code};
use crate::ground::Request;
use crate::model::{Action, Labels, Resource, Server, Status};

pub use rescue::{Disk, DiskError};
pub use server::{Node, Rebuild};
pub use upload::Upload;

/// The label that says whose a resource is.
const CLUSTER: &str = "pgha/cluster";

/// The label that says what it is for.
const KIND: &str = "pgha/kind";

/// How long Hetzner may take for one thing.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long a snapshot may take, and a server that is made from one: others saw an hour (terraform-provider-hcloud 312).
const LONG: Duration = Duration::from_secs(90 * 60);

/// How often something is looked for or made again because it is not known what became of it.
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
    /// A key could not be made.
    #[error("cannot make an SSH key")]
    Key(#[source] ssh::KeyError),
    /// The disk of an image could not be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A server cannot be reached from outside.
    #[error("server `{0}` has no public address")]
    NoAddress(String),
    /// A server's next boot would not be into the rescue system.
    #[error("Hetzner did not arm the rescue system of server `{0}`")]
    NoRescue(String),
    /// Something that is not the cluster's has the name that it needs.
    #[error("there is a {kind} called `{name}` that is not of this cluster; it was left as it is")]
    Foreign {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Hetzner has no server of any wanted kind in the location.
    #[error("Hetzner has no server of these kinds in {location} now: {server_types}")]
    SoldOut {
        /// What was asked for.
        server_types: String,
        /// Where.
        location: String,
    },
    /// Something of the cluster is not what is wanted, and is not changed.
    #[error("the {kind} `{name}` has {has}, but {wants} is wanted")]
    Differs {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What it has.
        has: String,
        /// What is wanted.
        wants: String,
    },
    /// An upload left something that is paid for, and it could not be deleted.
    #[error("what an upload needed could not be deleted, and costs money until it is: {what}")]
    Left {
        /// Its name, and why.
        what: String,
    },
    /// There is a server where there should be none any more.
    #[error("server `{0}` is still there; nothing of what it stands on was deleted")]
    HasServer(String),
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

/// Something that has labels.
trait Labelled {
    fn labels(&self) -> &Labels;
}

impl Labelled for Server {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Labelled for Resource {
    fn labels(&self) -> &Labels {
        &self.labels
    }
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
        let labels = [(CLUSTER, self.wanted.cluster.as_str()), (KIND, kind)];
        labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// Labels of a resource of this kind, and what else is noted of it.
    fn labels_with(&self, kind: &str, noted: &Labels) -> Labels {
        let mut labels = noted.clone();
        labels.extend(self.labels(kind));
        labels
    }

    /// Finds what a request would make, or makes it, with the labels of this kind.
    async fn ensure_made<R: Request>(
        &self,
        kind: &'static str,
        mut request: R,
    ) -> Result<Resource, SiteError> {
        request.labels().get_or_insert_default().extend(self.labels(kind));
        let find = || self.api.only::<Resource>(R::KINDS, request.name());
        let make = || async {
            let made = self.api.create(&request).await?;
            self.api.ended(&made.actions, PATIENCE).await?;
            Ok(made.thing)
        };
        self.ensure(kind, request.name(), find, make).await
    }

    /// Finds something, or makes it. Where nobody knows whether it was made, it is looked for again.
    async fn ensure<T: Labelled, F, M>(
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
                Err(SiteError::Api(error))
                    if (error.leaves_open() || error.is(&Code::UniquenessError))
                        && looks < LOOKS =>
                {
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
        found: &impl Labelled,
    ) -> Result<(), SiteError> {
        let ours = self.labels(kind);
        let is_ours = ours.iter().all(|(key, value)| found.labels().get(key) == Some(value));
        is_ours.then_some(()).ok_or_else(|| SiteError::Foreign { kind, name: name.to_owned() })
    }

    /// Looks until there is something to see. Absent: there is nothing within `patience`.
    async fn await_some<T, F: Future<Output = Result<Option<T>, ApiError>>>(
        &self,
        patience: Duration,
        look: impl Fn() -> F,
    ) -> Result<Option<T>, ApiError> {
        let until = Instant::now() + patience;
        loop {
            match look().await? {
                None if Instant::now() < until => tokio::time::sleep(self.api.pause).await,
                seen => return Ok(seen),
            }
        }
    }

    /// Repeats what Hetzner refuses for a moment, beyond what every request is repeated for.
    async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        passes: &[Code],
        what: impl Fn() -> F,
    ) -> Result<T, ApiError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match what().await {
                Err(error)
                    if passes.iter().any(|code| error.is(code)) && Instant::now() < until =>
                {
                    tokio::time::sleep(self.api.pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Begins actions and waits for them, again where one fails because something else was going on.
    async fn carry_out<F: Future<Output = Result<Vec<Action>, ApiError>>>(
        &self,
        patience: Duration,
        begin: impl Fn() -> F,
    ) -> Result<(), ApiError> {
        let mut tries = 1;
        loop {
            match self.api.ended(&begin().await?, patience).await {
                Err(ApiError::ActionFailed { message, .. })
                    if message.contains("locked") && tries < LOOKS =>
                {
                    tries += 1;
                    tokio::time::sleep(self.api.pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// The server with this name, once nothing is done to it any more. Absent: there is none.
    async fn settled(&self, name: &str) -> Result<Option<Server>, SiteError> {
        let is_busy = |server: &Server| server.locked || server.status == Status::Changing;
        let look = || async {
            let server = self.api.server_called(name).await?;
            Ok((!server.as_ref().is_some_and(is_busy)).then_some(server))
        };
        let slow = || SiteError::Slow {
            name: name.to_owned(),
            what: "on or off",
            seconds: LONG.as_secs(),
        };
        self.await_some(LONG, look).await?.ok_or_else(slow)
    }
}
