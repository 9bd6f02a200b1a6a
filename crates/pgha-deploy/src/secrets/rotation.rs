//! New secrets in place of those that nodes know, while the cluster runs.
//!
//! ```text
//! next/ca.key             of the authority that is to come: nodes trust it before it signs anything
//! previous/ssh/operator   what nodes know that have not been given the new one yet
//! ca.crt                  everybody who is trusted: two while an authority goes and another comes
//! ```
//!
//! Each turn is written as a whole, and then brought to every node by `apply`. So the files alone say where a rotation stands.

use std::collections::BTreeSet;
use std::path::Path;

use pgha_core::Cluster;

use super::certificates::{self, AUTHORITIES};
use super::{
    NEXT, OPERATOR, PREVIOUS, PROBE, SYSTEM_PASSWORDS, Secret, Secrets, SecretsError, host_key,
    random_password, scram_verifier,
};

/// What can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Both authorities, and the keys and certificates of every daemon.
    Authorities,
    /// The operator's SSH key, and every node's own.
    Ssh,
    /// Passwords that no client has.
    Passwords,
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// New authorities are there. Once everybody trusts them, they sign.
    Trusted,
    /// New secrets are there. Once every node has them, the old ones are worth nothing.
    Replaced,
}

/// The next turn of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Makes new ones.
    Begin(BTreeSet<Kind>),
    /// Lets the new authorities sign, with new keys for every daemon.
    Replace,
    /// Forgets the old ones.
    Finish,
    /// Makes a password for a role of the cluster file, beside the one it has.
    BeginPassword(String),
    /// Takes it for the role's, once PostgreSQL knows it.
    FinishPassword(String),
}

/// Files of the password that is to come.
fn next_pair(role: &str) -> [String; 2] {
    ["passwords", "verifiers"].map(|kind| format!("{NEXT}{kind}/{role}"))
}

impl Secrets {
    /// [`Secrets::prepare`] after this turn. Files that are lost are no obstacle where the turn makes new ones.
    ///
    /// # Errors
    /// As [`Secrets::prepare`].
    pub fn turned(
        dir: &Path,
        cluster: &Cluster,
        running: &[String],
        turn: &Turn,
    ) -> Result<Self, SecretsError> {
        let mut secrets = Self::read(dir, cluster, running)?;
        match turn {
            Turn::Begin(kinds) => kinds.iter().try_for_each(|kind| secrets.begin(*kind, cluster)),
            Turn::Replace => secrets.replace_authorities(),
            Turn::Finish => secrets.finish(),
            Turn::BeginPassword(role) => secrets.begin_password(role),
            Turn::FinishPassword(role) => secrets.finish_password(role),
        }?;
        secrets.completed(cluster)
    }

    /// Where the rotation of the secrets in `dir` stands, whatever else they lack.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn stage_in(
        dir: &Path,
        cluster: &Cluster,
        running: &[String],
    ) -> Result<Option<Stage>, SecretsError> {
        Ok(Self::read(dir, cluster, running)?.stage())
    }

    /// Where a rotation stands. Absent: there is none.
    pub fn stage(&self) -> Option<Stage> {
        let below = |dir: &str| self.files.keys().any(|name| name.starts_with(dir));
        let trusts = |file: &&str| {
            let trusted = self.files.get(&format!("{file}.crt"));
            trusted.is_some_and(|pem| certificates::count(pem.expose()) > 1)
        };
        if AUTHORITIES.iter().any(|file| self.files.contains_key(&format!("{NEXT}{file}.key"))) {
            return Some(Stage::Trusted);
        }
        (below(PREVIOUS) || AUTHORITIES.iter().any(trusts)).then_some(Stage::Replaced)
    }

    fn begin(&mut self, kind: Kind, cluster: &Cluster) -> Result<(), SecretsError> {
        match kind {
            Kind::Authorities => AUTHORITIES.iter().try_for_each(|file| {
                let key = certificates::new_key(file)?;
                self.put(&format!("{NEXT}{file}.key"), key);
                Ok(())
            }),
            Kind::Ssh => {
                self.forget(OPERATOR, "");
                let nodes = cluster.nodes.iter().map(|node| host_key(&node.name));
                nodes.for_each(|key| self.forget(&key, ".pub"));
                Ok(())
            }
            Kind::Passwords => {
                SYSTEM_PASSWORDS.iter().for_each(|name| self.drop(&format!("passwords/{name}")));
                self.drop(&format!("verifiers/{PROBE}"));
                Ok(())
            }
        }
    }

    /// What PostgreSQL is to keep of the password that is to come for a role.
    pub fn next_verifier(&self, role: &str) -> &Secret {
        let [_, verifier] = next_pair(role);
        self.file(&verifier)
    }

    /// An interrupted run may have made it, and told PostgreSQL.
    fn begin_password(&mut self, role: &str) -> Result<(), SecretsError> {
        let [password, verifier] = next_pair(role);
        self.ensure_file(&password, || Ok(random_password()))?;
        let text = self.file(&password).clone();
        self.ensure_file(&verifier, || Ok(scram_verifier(text.expose())))
    }

    fn finish_password(&mut self, role: &str) -> Result<(), SecretsError> {
        for next in next_pair(role) {
            let text = self.files.get(&next).ok_or_else(|| self.lost(&next))?.expose().to_owned();
            self.put(&next[NEXT.len()..], text);
            self.drop(&next);
        }
        Ok(())
    }

    /// Drops a key, so that a new one is made, and keeps what is needed of it meanwhile: its half called `kept`.
    fn forget(&mut self, key: &str, kept: &str) {
        let half = format!("{key}{kept}");
        if let Some(half) = self.files.get(&half).map(|text| text.expose().to_owned()) {
            self.put(&format!("{PREVIOUS}{key}{kept}"), half);
        }
        self.drop(key);
        self.drop(&format!("{key}.pub"));
    }

    fn replace_authorities(&mut self) -> Result<(), SecretsError> {
        let is_daemons = |name: &String| name.starts_with("nodes/") && name.ends_with(".key");
        let daemons = self.files.keys().filter(|name| is_daemons(name)).cloned();
        let operators = ["operator.key", "etcd-operator.key"].map(str::to_owned);
        for key in daemons.chain(operators).collect::<Vec<_>>() {
            self.drop(&key);
        }
        for file in AUTHORITIES {
            let next = format!("{NEXT}{file}.key");
            let key = self.files.get(&next).map(|key| key.expose().to_owned());
            self.put(&format!("{file}.key"), key.ok_or_else(|| self.lost(&next))?);
            self.drop(&next);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SecretsError> {
        let previous = self.files.keys().filter(|name| name.starts_with(PREVIOUS));
        for name in previous.cloned().collect::<Vec<_>>() {
            self.drop(&name);
        }
        certificates::trust_one(self)
    }
}

#[cfg(test)]
mod tests;
