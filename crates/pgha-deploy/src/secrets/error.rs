//! What can be wrong with the secrets directory.

use std::fmt;
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
    /// It belongs to another user.
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
    #[error("the cluster has servers, but {} is missing", path.display())]
    Lost {
        /// The file or directory.
        path: PathBuf,
        /// What helps.
        cure: Cure,
    },
    /// The servers were made by another cluster of the same name.
    #[error("the servers called `{cluster}` belong to another cluster, whose secrets are in {}", secrets.display())]
    Anothers {
        /// The name of both.
        cluster: String,
        /// The secrets directory of the cluster that made the servers, as noted at that time.
        secrets: PathBuf,
        /// That of the cluster file.
        own: PathBuf,
    },
    /// A file was changed since pgha read it.
    #[error("{} was changed by somebody else since it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Another process writes.
    #[error("another pgha writes to {}: {holder}", dir.display())]
    Busy {
        /// The directory.
        dir: PathBuf,
        /// Who it is.
        holder: String,
    },
    /// The record of an interrupted write, or of a rotation, cannot be read.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
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

/// What helps where a secret is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cure {
    /// Rotate secrets of this kind: nodes are given new ones, one after the other.
    Rotate(&'static str),
    /// Give this role a new password.
    RotateRole(String),
    /// Only a backup: nothing else opens the nodes.
    Backup,
}

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cure = match self {
            Self::Rotate(what) => format!("`pgha rotate {what}` makes new ones"),
            Self::RotateRole(role) => format!("`pgha rotate --role {role}` makes a new one"),
            Self::Backup => "without it nobody can log in to these nodes or sign certificates they trust; what is left is `pgha destroy`".to_owned(),
        };
        write!(f, "put it back from your backup; {cure}")
    }
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
            Self::Lost { cure, .. } => Some(cure.to_string()),
            Self::Anothers { own, .. } if own.exists() => Some(format!(
                "give this cluster another name; if those secrets are gone for good, `pgha destroy` deletes the servers once {} is moved away",
                own.display()
            )),
            Self::Anothers { .. } => Some("give this cluster another name".to_owned()),
            Self::Changed { .. } | Self::Busy { .. } => {
                Some("nothing was done; run the command again".to_owned())
            }
            Self::Damaged { .. } => Some(
                "put it back from your backup; without it the secrets do not fit together".to_owned(),
            ),
            Self::File(_) => None,
        }
    }
}
