//! Replaces secrets that nodes know, while the cluster runs.
//!
//! ```text
//! rotation.json           what is rotated, and how far it is
//! next/ca.key             key of the next authority: nodes trust it before it signs anything
//! previous/ssh/operator   what nodes know that have not been given the new one yet
//! ca.crt                  every trusted authority: two while one replaces the other
//! ```
//!
//! Each turn is written as a whole. `apply`, which knows nothing of rotations, then brings it to every node.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use pgha_core::Cluster;
use serde::{Deserialize, Serialize};

use super::lost::NEW_AUTHORITIES;
use super::trust::{self, AUTHORITIES};
use super::{NEXT, OPERATOR, PREVIOUS, SYSTEM_PASSWORDS, Secret, Secrets, SecretsError, host_key};

/// Where a rotation is kept.
const FILE: &str = "rotation.json";

/// What can be rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Both authorities, and the keys and certificates of every daemon.
    Authorities,
    /// The operator's SSH key, and every node's own.
    Ssh,
    /// Passwords that no client uses.
    Passwords,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authorities => "authorities",
            Self::Ssh => "ssh",
            Self::Passwords => "passwords",
        })
    }
}

/// A rotation that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// What is rotated.
    pub kinds: BTreeSet<Kind>,
    /// How far it is.
    pub stage: Stage,
}

/// The last turn of a rotation that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// New secrets are there. New authorities are trusted, and sign nothing yet.
    Begun,
    /// Every node trusts the new authorities, and the user was told that clients need them.
    Trusted,
    /// The new authorities sign.
    Replaced,
    /// The old secrets are forgotten.
    Finished,
}

/// The next turn of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Makes new secrets of these kinds, in addition to the kinds that are being rotated already.
    Begin(BTreeSet<Kind>),
    /// Every node trusts the new authorities: now clients have to.
    Trust,
    /// Lets the new authorities sign, with new keys for every daemon.
    Replace,
    /// Forgets the old secrets.
    Finish,
    /// Ends the rotation.
    End,
    /// Makes a next password for a role of the cluster file, beside its current one. Does so for every role whose password or verifier is
    /// lost, too.
    BeginPasswords(String),
    /// Makes them the roles' own, once PostgreSQL knows them.
    FinishPasswords,
}

impl Rotation {
    /// The next turn, once every node has what was written.
    pub fn next(&self) -> Turn {
        match self.stage {
            Stage::Begun if self.kinds.contains(&Kind::Authorities) => Turn::Trust,
            Stage::Trusted => Turn::Replace,
            Stage::Begun | Stage::Replaced => Turn::Finish,
            Stage::Finished => Turn::End,
        }
    }

    /// Whether there are new authorities that sign nothing yet.
    fn awaits_authorities(&self) -> bool {
        matches!(self.next(), Turn::Trust | Turn::Replace)
    }

    /// Its kinds, as text for people.
    pub fn names(&self) -> String {
        if self.kinds.is_empty() {
            return "a node's SSH key".to_owned();
        }
        self.kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Secrets {
    /// [`Secrets::prepare`] after this turn. A lost file is no obstacle if the turn makes a new one.
    ///
    /// # Errors
    /// As [`Secrets::prepare`].
    pub fn after_turn(
        dir: &Path,
        cluster: &Cluster,
        running: &[String],
        turn: &Turn,
    ) -> Result<Self, SecretsError> {
        let mut secrets = Self::read(dir, cluster, running)?;
        match turn {
            Turn::Begin(kinds) => secrets.begin_all(kinds, cluster)?,
            Turn::Trust => secrets.has_come_to(Stage::Trusted)?,
            Turn::Replace => secrets.replace_authorities()?,
            Turn::Finish => secrets.finish()?,
            Turn::End => secrets.drop(FILE),
            Turn::BeginPasswords(role) => secrets.begin_passwords(role, cluster)?,
            Turn::FinishPasswords => secrets.finish_passwords(),
        }
        // Passwords and authorities may both be lost. One of them has to come first.
        let password = matches!(turn, Turn::BeginPasswords(_) | Turn::FinishPasswords);
        secrets.completed(cluster, password.then_some(&NEW_AUTHORITIES))
    }

    /// The rotation of the secrets in `dir`, whatever else they lack. Absent: there is none.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rotation_in(
        dir: &Path,
        cluster: &Cluster,
        running: &[String],
    ) -> Result<Option<Rotation>, SecretsError> {
        Self::read(dir, cluster, running)?.rotation()
    }

    /// The rotation that is under way. Absent: there is none.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn rotation(&self) -> Result<Option<Rotation>, SecretsError> {
        let Some(text) = self.files.get(FILE) else { return Ok(self.traces()) };
        let damaged = |source| SecretsError::Damaged { path: self.dir.join(FILE), source };
        serde_json::from_str(text.expose()).map(Some).map_err(damaged)
    }

    /// The rotation that the files show, if `rotation.json` is lost. What nodes know must not be thrown away.
    fn traces(&self) -> Option<Rotation> {
        let has = |begin: &str| self.files.keys().any(|name| name.starts_with(begin));
        let comes = AUTHORITIES.iter().any(|file| has(&format!("{NEXT}{file}.key")));
        let goes = AUTHORITIES.iter().any(|file| has(&format!("{PREVIOUS}{file}.crt")));
        let ssh = has(&format!("{PREVIOUS}{OPERATOR}"));
        let kinds = [(comes || goes).then_some(Kind::Authorities), ssh.then_some(Kind::Ssh)];
        let kinds = kinds.into_iter().flatten().collect::<BTreeSet<_>>();
        let stage = if goes && !comes { Stage::Replaced } else { Stage::Begun };
        // Only a node's key was lost, and `apply` made a new one.
        let node = has(&format!("{PREVIOUS}nodes/"));
        (!kinds.is_empty() || node).then_some(Rotation { kinds, stage })
    }

    /// What `pgha rotate` has not completed or still has to pass on to PostgreSQL, each with the
    /// command that does it.
    pub fn unfinished(&self) -> Vec<String> {
        let rotation = self.rotation().ok().flatten();
        let rotation = rotation.map(|rotation| {
            format!("a rotation ({}) is under way: `pgha rotate` goes on with it", rotation.names())
        });
        let roles = self.next_roles().into_iter().map(|role| {
            format!("the new password of {role} may be in force already: `pgha rotate --role {role}` goes on with it")
        });
        rotation.into_iter().chain(roles).chain(self.edited()).collect()
    }

    fn note_rotation(&mut self, rotation: &Rotation) {
        self.put(FILE, serde_json::to_string(rotation).unwrap_or_default() + "\n");
    }

    fn has_come_to(&mut self, stage: Stage) -> Result<(), SecretsError> {
        let rotation = self.rotation()?.ok_or_else(|| self.lost(FILE))?;
        self.note_rotation(&Rotation { stage, ..rotation });
        Ok(())
    }

    /// While next authorities wait, makes sure that each has a key, even if it was lost.
    pub(super) fn ensure_next(&mut self) -> Result<(), SecretsError> {
        if !self.rotation()?.is_some_and(|rotation| rotation.awaits_authorities()) {
            return Ok(());
        }
        let ensure = |file| self.ensure_file(&format!("{NEXT}{file}.key"), || trust::new_key(file));
        AUTHORITIES.into_iter().try_for_each(ensure)
    }

    fn begin_all(&mut self, kinds: &BTreeSet<Kind>, cluster: &Cluster) -> Result<(), SecretsError> {
        let before = self.rotation()?.map_or_else(BTreeSet::new, |rotation| rotation.kinds);
        kinds.difference(&before).try_for_each(|kind| self.begin(*kind, cluster))?;
        let kinds = kinds.union(&before).copied().collect();
        self.note_rotation(&Rotation { kinds, stage: Stage::Begun });
        Ok(())
    }

    fn begin(&mut self, kind: Kind, cluster: &Cluster) -> Result<(), SecretsError> {
        match kind {
            // Their keys are made with everything else that is missing.
            Kind::Authorities => {}
            Kind::Ssh => {
                let operator = self.files.get(OPERATOR).ok_or_else(|| self.lost(OPERATOR))?;
                let operator = operator.expose().to_owned();
                self.put(&format!("{PREVIOUS}{OPERATOR}"), operator);
                self.drop(OPERATOR);
                self.ensure_ssh_key(OPERATOR)?;
                for node in &cluster.nodes {
                    self.drop(&host_key(&node.name));
                    self.ensure_host_key(&node.name)?;
                }
            }
            Kind::Passwords => {
                SYSTEM_PASSWORDS.iter().for_each(|name| self.drop(&format!("passwords/{name}")));
            }
        }
        Ok(())
    }

    /// Makes a missing host key. A node proves itself with the one it has until it is given the new one.
    pub(super) fn ensure_host_key(&mut self, node: &str) -> Result<(), SecretsError> {
        let (key, public) = (host_key(node), format!("{}.pub", host_key(node)));
        if !self.files.contains_key(&key)
            && let Some(known) = self.files.get(&public).map(|text| text.expose().to_owned())
        {
            let before = format!("{PREVIOUS}{public}");
            let all = self.files.get(&before).map_or("", Secret::expose).to_owned() + &known;
            self.put(&before, all);
        }
        self.ensure_ssh_key(&key)
    }

    fn replace_authorities(&mut self) -> Result<(), SecretsError> {
        let is_daemons = |name: &String| name.starts_with("nodes/") && name.ends_with(".key");
        let daemons = self.files.keys().filter(|name| is_daemons(name)).cloned();
        let operators = ["operator.key", "etcd-operator.key"].map(str::to_owned);
        for key in daemons.chain(operators).collect::<Vec<_>>() {
            self.drop(&key);
        }
        for file in AUTHORITIES {
            let (next, trusted) = (format!("{NEXT}{file}.key"), format!("{file}.crt"));
            let text = |name: &str| self.files.get(name).map(|text| text.expose().to_owned());
            let (key, trusts) = (text(&next), text(&trusted));
            self.put(&format!("{file}.key"), key.ok_or_else(|| self.lost(&next))?);
            self.put(&format!("{PREVIOUS}{trusted}"), trusts.ok_or_else(|| self.lost(&trusted))?);
            self.drop(&next);
        }
        self.has_come_to(Stage::Replaced)
    }

    fn finish(&mut self) -> Result<(), SecretsError> {
        let previous = self.files.keys().filter(|name| name.starts_with(PREVIOUS));
        for name in previous.cloned().collect::<Vec<_>>() {
            self.drop(&name);
        }
        if self.rotation()?.is_some_and(|rotation| rotation.kinds.contains(&Kind::Authorities)) {
            trust::trust_one(self)?;
        }
        self.has_come_to(Stage::Finished)
    }
}

#[cfg(test)]
mod tests;
