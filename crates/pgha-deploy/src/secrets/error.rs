//! What can be wrong with the secrets directory.

use std::path::PathBuf;

use pgha_platform::files::FileError;

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file of the directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// Others could read it.
    #[error("the secrets directory {} has mode {mode:o}: others could read it", dir.display())]
    Exposed {
        /// The directory.
        dir: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the secrets directory {} belongs to user {owner}, pgha runs as user {user}", dir.display())]
    Owned {
        /// The directory.
        dir: PathBuf,
        /// Number of its owner.
        owner: u32,
        /// Number of the user pgha runs as.
        user: u32,
    },
    /// A secret without content.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It was made for another cluster.
    #[error("the secrets directory {} belongs to cluster `{found}`, not `{wanted}`", dir.display())]
    Foreign {
        /// The directory.
        dir: PathBuf,
        /// The cluster it was made for.
        found: String,
        /// The cluster of the file.
        wanted: String,
    },
    /// The cluster runs, but a secret that its nodes know is gone.
    #[error("cluster `{cluster}` has servers, but {} is missing", path.display())]
    Lost {
        /// The cluster.
        cluster: String,
        /// The file or directory.
        path: PathBuf,
    },
    /// A certificate could not be made or read.
    #[error("cannot make or read the certificate `{name}`")]
    Certificate {
        /// Its file name.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// An SSH key could not be made or read.
    #[error("cannot make or read the SSH key `{name}`: {reason}")]
    SshKey {
        /// Its file name.
        name: String,
        /// Why.
        reason: String,
    },
}

impl SecretsError {
    /// What to do about it.
    pub fn cure(&self) -> Option<String> {
        match self {
            Self::Exposed { dir, .. } => Some(format!("chmod 700 {}", dir.display())),
            Self::Owned { dir, user, .. } => {
                Some(format!("chown -R {user} {}, or run pgha as its owner", dir.display()))
            }
            Self::Empty { .. } | Self::SshKey { .. } | Self::Certificate { .. } => {
                Some("put it back from your backup; if no server was made with it yet, remove it".to_owned())
            }
            Self::Foreign { .. } => Some("give every cluster file a name of its own: its secrets live in NAME.secrets beside it".to_owned()),
            Self::Lost { .. } => Some(
                "put it back from your backup. Without it nobody can log in to these nodes or sign certificates they trust; what is left is `pgha destroy`".to_owned(),
            ),
            _ => None,
        }
    }
}
