//! The secrets directory, made once beside the cluster file and kept by the user. Certificates are renewed before they expire. Everything
//! else is made again only if it is lost, or by a rotation.
//!
//! Reading never writes. What a cluster file needs and the directory lacks is made in memory. It
//! reaches the disk by [`Secrets::write`], which `apply` calls once the user has said yes.
//!
//! Without it the cluster still runs but can no longer be administered: nodes accept only the SSH
//! key and the certificate authorities made here.

mod authority;
mod certificates;
mod error;
mod identity;
mod lost;
mod role_password;
mod rotation;
mod trust;
mod verifier;
mod write;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pgha_core::Cluster;
use pgha_core::cluster::PATRONI_ROLES;
use pgha_platform::files::{self, FileError};
use pgha_platform::ssh;
use rand::distr::{Alphanumeric, SampleString};
use zeroize::Zeroizing;

pub(crate) use certificates::{RENEW_DAYS, first_end};
pub use error::{Cure, SecretsError};
pub use identity::not_anothers;
pub use rotation::{Kind, Rotation, Stage, Turn};
pub use verifier::scram_verifier;
use write::Pending;

/// A secret. It has no `Debug` and no `Display`, so it cannot slip into a message.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The secret itself. Call this only to deliver it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The role of the health probe in PostgreSQL. It needs no special rights.
pub const PROBE: &str = "pgha_probe";

/// Directory of the archive, beside the secrets. Reading the secrets skips it.
pub const ARCHIVE: &str = "archive";

/// Passwords that every cluster has, in addition to those of the users in the cluster file. A new one opens everything once every node has
/// it.
const SYSTEM_PASSWORDS: [&str; 3] = ["rest-api", "haproxy-stats", PROBE];

/// Where new secrets are kept until a rotation puts them in place.
const NEXT: &str = "next/";

/// Where old secrets are kept until a rotation drops them.
const PREVIOUS: &str = "previous/";

const OPERATOR: &str = "ssh/operator";

/// Files of the operator's SSH key and of the previous one, which exists only while they are rotated.
pub fn operator_keys() -> [String; 2] {
    [OPERATOR.to_owned(), format!("{PREVIOUS}{OPERATOR}")]
}

/// The SSH host key of a node.
pub fn host_key(node: &str) -> String {
    format!("nodes/{node}/ssh_host_ed25519_key")
}

/// The secrets of one cluster, in memory.
pub struct Secrets {
    dir: PathBuf,
    files: BTreeMap<String, Secret>,
    /// Nodes that have a server, and so know what was made for them.
    running: Vec<String>,
    /// What is only in memory, in the order it was made.
    pending: Mutex<Vec<Pending>>,
}

impl Secrets {
    /// Where the secrets of a cluster file are: `demo.toml` has `demo.secrets` beside it.
    pub fn dir_of(cluster_file: &Path) -> PathBuf {
        cluster_file.with_extension("secrets")
    }

    /// Reads the secrets, and makes in memory what `cluster` needs and they lack: passwords, keys,
    /// and certificates whose names or remaining life no longer fit. `running` names the nodes that
    /// have servers: what those know must be there. Writes nothing.
    ///
    /// # Errors
    /// When the directory is open to others, belongs to another cluster, or has lost something.
    pub fn prepare(
        dir: &Path,
        cluster: &Cluster,
        running: &[String],
    ) -> Result<Self, SecretsError> {
        Self::read(dir, cluster, running)?.completed(cluster, None)
    }

    /// `excused`: missing files that this cures are no reason to stop.
    fn completed(
        mut self,
        cluster: &Cluster,
        excused: Option<&Cure>,
    ) -> Result<Self, SecretsError> {
        self.complete(cluster, excused)?;
        // Last: its presence says that a first run was completed.
        self.ensure_file("cluster", || Ok(cluster.name.clone()))?;
        Ok(self)
    }

    /// Reads what is there. A missing directory is fine while no server runs.
    fn read(dir: &Path, cluster: &Cluster, running: &[String]) -> Result<Self, SecretsError> {
        if !running.is_empty() && !dir.join("cluster").exists() {
            return Err(SecretsError::Lost { path: dir.to_owned(), cure: Cure::Backup });
        }
        let (files, pending) = Default::default();
        let mut secrets = Self { dir: dir.to_owned(), files, running: running.to_vec(), pending };
        if dir.exists() {
            Self::check(dir, cluster)?;
            secrets.read_all("")?;
            secrets.take_up()?;
            secrets.ensure_identity()?;
        }
        Ok(secrets)
    }

    fn check(dir: &Path, cluster: &Cluster) -> Result<(), SecretsError> {
        let metadata = std::fs::metadata(dir).map_err(FileError::at("examine", dir))?;
        let mode = metadata.permissions().mode() & 0o777;
        let (owner, user) = (metadata.uid(), nix::unistd::geteuid().as_raw());
        if owner != user {
            return Err(SecretsError::Owned { dir: dir.to_owned(), owner, user });
        }
        if mode & 0o077 != 0 {
            return Err(SecretsError::Exposed { dir: dir.to_owned(), mode });
        }
        identity::belongs_to(dir, &cluster.name)
    }

    fn read_all(&mut self, below: &str) -> Result<(), SecretsError> {
        let dir = self.dir.join(below);
        for entry in std::fs::read_dir(&dir).map_err(FileError::at("read", &dir))?.flatten() {
            let name = Path::new(below).join(entry.file_name()).to_string_lossy().into_owned();
            if entry.path().is_dir() {
                if name != ARCHIVE {
                    self.read_all(&name)?;
                }
            } else if is_secret(&entry.file_name().to_string_lossy()) {
                self.read_one(name)?;
            }
        }
        Ok(())
    }

    fn read_one(&mut self, name: String) -> Result<(), SecretsError> {
        let path = self.dir.join(&name);
        let text = Zeroizing::new(files::read(&path)?);
        if text.trim().is_empty() {
            return Err(SecretsError::Empty { path });
        }
        self.files.insert(name, Secret(text));
        Ok(())
    }

    fn complete(&mut self, cluster: &Cluster, excused: Option<&Cure>) -> Result<(), SecretsError> {
        self.ensure_next()?;
        self.nothing_lost(cluster, excused)?;
        // Git must never see it, whatever the user's own ignore file says.
        self.ensure_file(".gitignore", || Ok("*\n".to_owned()))?;
        let users = cluster.postgresql.users.iter().map(String::as_str);
        for name in SYSTEM_PASSWORDS.into_iter().chain(users) {
            let file = format!("passwords/{name}");
            if !self.files.contains_key(&file) {
                self.put(&file, random_password());
                // It belongs to the lost password.
                self.drop(&format!("verifiers/{name}"));
            }
        }
        // An older pgha gave Patroni's roles passwords, too.
        PATRONI_ROLES.iter().for_each(|role| self.drop(&format!("passwords/{role}")));
        for user in cluster.postgresql.users.iter().map(String::as_str).chain([PROBE]) {
            let password = self.file(&format!("passwords/{user}")).clone();
            let file = format!("verifiers/{user}");
            // For other users, only a rotation changes what PostgreSQL knows.
            if self.is_edited(user) && (user == PROBE || self.running.is_empty()) {
                self.drop(&file);
            }
            self.ensure_file(&file, || Ok(scram_verifier(password.expose())))?;
        }
        self.ensure_ssh_key(OPERATOR)?;
        for node in &cluster.nodes {
            self.ensure_host_key(&node.name)?;
        }
        certificates::ensure(self, cluster)?;
        self.ensure_identity()
    }

    fn ensure_ssh_key(&mut self, name: &str) -> Result<(), SecretsError> {
        let fail = |reason: String| SecretsError::SshKey { name: name.to_owned(), reason };
        if !self.files.contains_key(name) {
            // It belongs to the lost key.
            self.drop(&format!("{name}.pub"));
        }
        self.ensure_file(name, || {
            Ok(ssh::new_key().map_err(|e| fail(e.to_string()))?.to_string())
        })?;
        let public = ssh::public_key(self.file(name).expose()).map_err(|e| fail(e.to_string()))?;
        self.ensure_file(&format!("{name}.pub"), || Ok(format!("{public}\n")))
    }

    /// Makes a file that is missing.
    fn ensure_file(
        &mut self,
        name: &str,
        make: impl FnOnce() -> Result<String, SecretsError>,
    ) -> Result<(), SecretsError> {
        if self.files.contains_key(name) {
            return Ok(());
        }
        self.put(name, make()?);
        Ok(())
    }

    /// Puts a file into memory, and notes that it is yet to be written.
    fn put(&mut self, name: &str, text: String) {
        let before = self.files.insert(name.to_owned(), Secret(Zeroizing::new(text)));
        self.note(name, before);
    }

    /// Drops a file from memory, and notes that it is yet to be removed.
    fn drop(&mut self, name: &str) {
        if let Some(before) = self.files.remove(name) {
            self.note(name, Some(before));
        }
    }

    /// Keeps the order of the last changes, and what was there before the first.
    fn note(&mut self, name: &str, before: Option<Secret>) {
        let pending = self.pending_mut();
        let noted = pending.iter().position(|file| file.name == name);
        let before = noted.map_or(before, |at| pending.remove(at).before);
        pending.push(Pending { name: name.to_owned(), before });
    }

    /// Private keys of the operator, in OpenSSH's format: the current one, and the previous one while they are rotated.
    pub(crate) fn operator_keys(&self) -> Vec<&str> {
        let keys = operator_keys();
        keys.iter().filter_map(|name| self.files.get(name)).map(Secret::expose).collect()
    }

    /// Public host keys that are accepted from a node.
    pub(crate) fn host_keys(&self, node: &str) -> Vec<&str> {
        let name = format!("{}.pub", host_key(node));
        let names = [format!("{PREVIOUS}{name}"), name];
        let keys = names.iter().filter_map(|name| self.files.get(name));
        keys.flat_map(|keys| keys.expose().lines()).collect()
    }

    /// A file of the directory.
    ///
    /// # Panics
    /// When there is no such file: every name pgha asks for is made by [`Secrets::prepare`].
    pub fn file(&self, name: &str) -> &Secret {
        self.files.get(name).unwrap_or_else(|| panic!("secret `{name}` was never made"))
    }

    /// Path of a file of the directory, for programs that read it themselves. What is pending is
    /// not there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Excludes the journal, what an interrupted run left, and what editors keep beside a file.
fn is_secret(name: &str) -> bool {
    let temporary = name.contains(".tmp") || name.ends_with('~');
    name == ".gitignore" || !(name.starts_with('.') || name.ends_with(".jsonl") || temporary)
}

/// 190 bits in characters that need no quoting in a shell, a DSN or a YAML file.
pub fn random_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}
