//! What pgha needs from a place where servers run.
//!
//! A provider executes. Each call carries everything that a server boots and all its labels, and
//! the provider remembers nothing else. Every method may be repeated: a call that finds its work
//! done does nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::command::CommandError;
use crate::files::FileError;

/// A server to be made, or to be given another image.
#[derive(Clone)]
pub struct ServerRequest {
    /// Its name, unique in the cluster.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it boots from.
    pub boot: Boot,
    /// Identifier a new data volume is marked with.
    pub volume: String,
    /// Its labels, which replace those it has.
    pub labels: BTreeMap<String, String>,
}

/// What a server boots from.
#[derive(Clone)]
pub struct Boot {
    /// The package root.
    pub package_root: ImageFile,
    /// The configuration layer.
    pub configuration: ImageFile,
    /// The seed: identity and secrets, as the node unpacks it. Never logged.
    pub seed: Zeroizing<Vec<u8>>,
}

/// A file that servers boot from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFile {
    /// Its absolute path.
    pub path: PathBuf,
    /// SHA-256 of its bytes, as 64 hexadecimal digits.
    pub sha256: String,
}

/// A server as its provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it runs.
    pub running: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Where the secrets of its cluster were when it was made. Absent: its provider does not know.
    pub owner: Option<PathBuf>,
}

/// A condition that this machine must meet before anything is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What is checked.
    pub name: String,
    /// What was found wrong, and its cure. Absent: no problem.
    pub problem: Option<Problem>,
}

impl Check {
    /// Whether `file` is there; its cure is to install Debian's `package`.
    pub fn present(file: &std::path::Path, package: &str) -> Self {
        let problem = (!file.exists()).then(|| Problem {
            what: format!("{} is not there", file.display()),
            cure: format!("apt-get install {package}"),
            packages: vec![package.to_owned()],
        });
        Self { name: format!("file {}", file.display()), problem }
    }

    /// Whether `program` is there; its cure is to install Debian's `package`.
    pub fn installed(program: &str, package: &str) -> Self {
        let problem = crate::command::find(program).is_none().then(|| Problem {
            what: format!("`{program}` is not installed"),
            cure: format!("apt-get install {package}"),
            packages: vec![package.to_owned()],
        });
        Self { name: format!("program {program}"), problem }
    }
}

/// Something wrong with this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
    /// Debian packages whose installation is the cure.
    pub packages: Vec<String>,
}

/// A provider that could not do something.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A program failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Only root may change what the provider has.
    #[error("local clusters belong to root")]
    NotRoot,
    /// A machine of the cluster runs, but the state directory does not know it.
    #[error("`{0}` runs, but the state directory has no record of it")]
    Unrecorded(String),
    /// A cluster of the same name has its records in another directory.
    #[error("another cluster called `{cluster}` has its nodes in {}", records.display())]
    Elsewhere {
        /// The name of both.
        cluster: String,
        /// The directory.
        records: PathBuf,
    },
    /// The directory of a new server holds the data of an earlier one.
    #[error("{} holds the data of a server without a record", dir.display())]
    Orphaned {
        /// The directory.
        dir: PathBuf,
    },
    /// A file of a server's image is not what it was.
    #[error(
        "server `{server}` was left as it is: {file} {what}; was the image cache emptied or changed?"
    )]
    ImageChanged {
        /// The server.
        server: String,
        /// The file.
        file: String,
        /// What happened to it.
        what: &'static str,
    },
    /// No server has this name.
    #[error("there is no server `{0}`")]
    NoServer(String),
    /// Another process works on the cluster.
    #[error("another pgha works on this cluster: {0}")]
    Busy(String),
    /// A record of the provider cannot be read.
    #[error("the record {path} is damaged")]
    Record {
        /// Its path.
        path: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A server did not do what it was told in time.
    #[error("server `{name}` did not {what} within {seconds} s")]
    Slow {
        /// Its name.
        name: String,
        /// What was awaited.
        what: &'static str,
        /// The bound.
        seconds: u64,
    },
}

type Done = Result<(), ProviderError>;

/// A place where servers run.
pub trait Provider: Send + Sync {
    /// Looks at this machine without changing it.
    fn checks(&self) -> impl Future<Output = Vec<Check>> + Send;

    /// Keeps other pgha processes from changing the cluster while the value lives.
    ///
    /// # Errors
    /// [`ProviderError::Busy`] names who holds it.
    fn lock(&self, purpose: &str) -> Result<crate::files::Lock, ProviderError>;

    /// Every server of the cluster, by name.
    fn servers(&self) -> impl Future<Output = Result<Vec<Server>, ProviderError>> + Send;

    /// Parts of the cluster that belong to no server, for people: left by an operator or an
    /// interrupted run.
    fn leftovers(&self) -> impl Future<Output = Result<Vec<String>, ProviderError>> + Send;

    /// Makes the network.
    fn create_network(&self) -> impl Future<Output = Done> + Send;

    /// Deletes the network, once every server is deleted.
    fn delete_network(&self) -> impl Future<Output = Done> + Send;

    /// Makes a server with an empty, marked data volume and boots it.
    fn create_server(&self, request: &ServerRequest) -> impl Future<Output = Done> + Send;

    /// Stops a server cleanly and boots it with what the request says, on the same data volume. What it
    /// boots and its labels change together.
    fn rebuild_server(&self, request: &ServerRequest) -> impl Future<Output = Done> + Send;

    /// Deletes a server and its data volume.
    fn delete_server(&self, name: &str) -> impl Future<Output = Done> + Send;

    /// Replaces the labels of a server.
    fn label(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> impl Future<Output = Done> + Send;

    /// Stops a server, cleanly if possible, and boots it again with its current image and seed.
    fn reboot(&self, name: &str) -> impl Future<Output = Done> + Send;

    /// Boots a server that is off.
    fn power_on(&self, name: &str) -> impl Future<Output = Done> + Send;

    /// The last lines of a server's console.
    fn console(&self, name: &str) -> impl Future<Output = Result<String, ProviderError>> + Send;
}

/// Faults that a provider can inject into its servers, to see what follows.
pub trait Faults: Provider {
    /// Ends a server like a loss of power: its peers get no message, its processes no signal.
    fn power_cut(&self, name: &str) -> impl Future<Output = Done> + Send;

    /// Freezes every process of a server, like a host that pauses a virtual machine: the network
    /// stays up, no process answers, and none of them notices.
    fn freeze(&self, name: &str) -> impl Future<Output = Done> + Send;

    /// Resumes a frozen server. Does nothing to any other.
    fn thaw(&self, name: &str) -> impl Future<Output = Done> + Send;
}
