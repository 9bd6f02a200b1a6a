//! Secrets that are gone while nodes know them.

use pgha_core::Cluster;

use super::error::Cure;
use super::trust::AUTHORITIES;
use super::{NEXT, OPERATOR, Secrets, SecretsError, host_key};

/// What helps when no signing key is left.
pub(super) const NEW_AUTHORITIES: Cure = Cure::Rotate("authorities");

impl Secrets {
    /// Fails when something is lost that no `apply` can make again. Ignores what `excused` would
    /// cure.
    pub(super) fn nothing_lost(
        &self,
        cluster: &Cluster,
        excused: Option<&Cure>,
    ) -> Result<(), SecretsError> {
        if self.running.is_empty() {
            return Ok(());
        }
        let lost = |name: &String| !self.is_known(name) && excused != Some(&cure(name));
        match self.known_to_nodes(cluster).into_iter().find(lost) {
            Some(name) => Err(self.lost(&name)),
            None => Ok(()),
        }
    }

    /// Files that running nodes or clients know. New ones in their place would open nothing.
    fn known_to_nodes(&self, cluster: &Cluster) -> Vec<String> {
        // A certificate can be made again from its key. If the key is lost but the next one is
        // there, the certificate must exist.
        let either = |file: &&str| {
            let is_there = |key: &str| self.files.contains_key(key);
            let (key, next) = (format!("{file}.key"), format!("{NEXT}{file}.key"));
            if is_there(&next) && !is_there(&key) { format!("{file}.crt") } else { key }
        };
        let keys = AUTHORITIES.iter().map(either).chain([OPERATOR.to_owned()]);
        // A password without its verifier, or a verifier without its password, was a pair once.
        let of = |name: &str| {
            name.strip_prefix("passwords/").or(name.strip_prefix("verifiers/")).map(str::to_owned)
        };
        // Users that left the cluster file need no complete pair.
        let users = self.files.keys().filter_map(|name| of(name));
        let users = users.filter(|name| cluster.postgresql.users.contains(name));
        let pairs =
            users.flat_map(|name| [format!("passwords/{name}"), format!("verifiers/{name}")]);
        // While the public half of its key is here, a node can still prove itself.
        let hosts = self.running.iter().map(|node| host_key(node));
        let hosts = hosts.filter(|key| !self.files.contains_key(&format!("{key}.pub")));
        keys.chain(pairs).chain(hosts).collect()
    }

    /// Whether it is there, or the one that will replace it.
    fn is_known(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.files.contains_key(&format!("{NEXT}{name}"))
    }

    pub(super) fn lost(&self, name: &str) -> SecretsError {
        SecretsError::Lost { path: self.dir.join(name), cure: cure(name) }
    }
}

/// What helps where the file called `name` is lost.
fn cure(name: &str) -> Cure {
    let role = name.strip_prefix("passwords/").or(name.strip_prefix("verifiers/"));
    match role {
        Some(role) => Cure::RotateRole(role.to_owned()),
        None if AUTHORITIES.iter().any(|file| name == format!("{file}.key")) => NEW_AUTHORITIES,
        None => Cure::Backup,
    }
}
