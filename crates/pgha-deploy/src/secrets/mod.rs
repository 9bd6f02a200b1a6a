//! The secrets directory: made once beside the cluster file, kept by the user. Certificates are signed
//! anew before they end; all else is made anew where it is lost, and by a rotation.
//!
//! To look never writes: what a cluster file needs and the directory lacks is made in memory, and
//! reaches the disk by [`Secrets::write`], which `apply` calls after the yes.
//!
//! Whoever loses it keeps a running cluster but can no longer administer it: nodes accept only the
//! SSH key and the certificate authorities made here.

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
use rand::distr::{Alphanumeric, SampleString};
use russh::keys::{Algorithm, PrivateKey};
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
    /// The secret itself. Ask only to deliver it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The role of the health probe in PostgreSQL. It needs no more rights than everybody has.
pub const PROBE: &str = "pgha_probe";

/// Directory of the archive, beside them: what is in it is read by nobody who asks for secrets.
pub const ARCHIVE: &str = "archive";

/// Passwords that every cluster has. Users of the cluster file come on top. A new one in their place
/// opens everything once every node has it.
const SYSTEM_PASSWORDS: [&str; 3] = ["rest-api", "haproxy-stats", PROBE];

/// Where what is to come is kept while secrets are rotated.
const NEXT: &str = "next/";

/// Where what is to go is kept.
const PREVIOUS: &str = "previous/";

const OPERATOR: &str = "ssh/operator";

/// Files of the operator's SSH key, and of the one before, which there is only while they are rotated.
pub fn operator_keys() -> [String; 2] {
    [OPERATOR.to_owned(), format!("{PREVIOUS}{OPERATOR}")]
}

/// The SSH key that a node proves itself with.
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
        // Last: its presence says that a first run came to its end.
        self.ensure_file("cluster", || Ok(cluster.name.clone()))?;
        Ok(self)
    }

    /// What is there. Nothing is fine while no server runs.
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
                // Of another one.
                self.drop(&format!("verifiers/{name}"));
            }
        }
        // An older pgha gave Patroni's roles passwords, too.
        PATRONI_ROLES.iter().for_each(|role| self.drop(&format!("passwords/{role}")));
        for user in cluster.postgresql.users.iter().map(String::as_str).chain([PROBE]) {
            let password = self.file(&format!("passwords/{user}")).clone();
            let file = format!("verifiers/{user}");
            // What PostgreSQL knows of the others is told it by a rotation alone.
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
            // Of another one.
            self.drop(&format!("{name}.pub"));
        }
        self.ensure_file(name, || {
            let key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
                .map_err(|e| fail(e.to_string()))?;
            Ok(key
                .to_openssh(russh::keys::ssh_key::LineEnding::LF)
                .map_err(|e| fail(e.to_string()))?
                .to_string())
        })?;
        let key = russh::keys::decode_secret_key(self.file(name).expose(), None)
            .map_err(|e| fail(e.to_string()))?;
        let public = key.public_key().to_openssh().map_err(|e| fail(e.to_string()))?;
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

    /// In the order of the last changes, with what was there before the first.
    fn note(&mut self, name: &str, before: Option<Secret>) {
        let pending = self.pending_mut();
        let noted = pending.iter().position(|file| file.name == name);
        let before = noted.map_or(before, |at| pending.remove(at).before);
        pending.push(Pending { name: name.to_owned(), before });
    }

    /// Private keys of the operator, in OpenSSH's form: the one that nodes take, and while they are given another one that, too.
    pub(crate) fn operator_keys(&self) -> Vec<&str> {
        let keys = operator_keys();
        keys.iter().filter_map(|name| self.files.get(name)).map(Secret::expose).collect()
    }

    /// Public keys that a node may prove itself with.
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

/// Not the journal, what an interrupted run left, or what editors keep beside a file.
fn is_secret(name: &str) -> bool {
    let temporary = name.contains(".tmp") || name.ends_with('~');
    name == ".gitignore" || !(name.starts_with('.') || name.ends_with(".jsonl") || temporary)
}

/// 190 bits in characters that need no quoting in a shell, a DSN or a YAML file.
pub fn random_password() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}
