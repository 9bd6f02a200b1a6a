//! Secrets that are gone while nodes know them.

use pgha_core::Cluster;

use super::error::Cure;
use super::trust::AUTHORITIES;
use super::{NEXT, OPERATOR, Secrets, SecretsError, host_key};

/// What helps where nobody can sign any more.
pub(super) const NEW_AUTHORITIES: Cure = Cure::Rotate("authorities");

impl Secrets {
    /// Fails where something is lost that no `apply` can make anew.
    /// But for what is `excused`.
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

    /// Files that running nodes or clients know, so that new ones in their place would open nothing.
    fn known_to_nodes(&self, cluster: &Cluster) -> Vec<String> {
        // A certificate is made anew from its key; a key that is lost is followed by the next.
        let either = |file: &&str| {
            let is_there = |key: &str| self.files.contains_key(key);
            let (key, next) = (format!("{file}.key"), format!("{NEXT}{file}.key"));
            if is_there(&next) && !is_there(&key) { format!("{file}.crt") } else { key }
        };
        let keys = AUTHORITIES.iter().map(either).chain([OPERATOR.to_owned()]);
        // A password without its verifier, or the other way round, was a pair once.
        let of = |name: &str| {
            name.strip_prefix("passwords/").or(name.strip_prefix("verifiers/")).map(str::to_owned)
        };
        // Of those that left the file nobody asks for more than is there.
        let users = self.files.keys().filter_map(|name| of(name));
        let users = users.filter(|name| cluster.postgresql.users.contains(name));
        let pairs =
            users.flat_map(|name| [format!("passwords/{name}"), format!("verifiers/{name}")]);
        // With its public half a node can still prove itself.
        let hosts = self.running.iter().map(|node| host_key(node));
        let hosts = hosts.filter(|key| !self.files.contains_key(&format!("{key}.pub")));
        keys.chain(pairs).chain(hosts).collect()
    }

    /// Whether it is there, or one that is to come.
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
