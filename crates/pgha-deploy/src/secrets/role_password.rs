//! New passwords for roles of the cluster file. They are kept before PostgreSQL knows them, and become the roles' own once it does.

use pgha_core::Cluster;

use super::verifier::is_of;
use super::{NEXT, Secret, Secrets, SecretsError, random_password, scram_verifier};

/// Files of the next password of a role.
fn next_pair(role: &str) -> [String; 2] {
    ["passwords", "verifiers"].map(|kind| format!("{NEXT}{kind}/{role}"))
}

impl Secrets {
    /// The verifier of a role's next password, which PostgreSQL is to keep.
    pub fn next_verifier(&self, role: &str) -> &Secret {
        let [_, verifier] = next_pair(role);
        self.file(&verifier)
    }

    /// The next password of a role.
    pub fn next_password(&self, role: &str) -> &Secret {
        let [password, _] = next_pair(role);
        self.file(&password)
    }

    /// Roles that have a next password.
    pub fn next_roles(&self) -> Vec<String> {
        let begun = format!("{NEXT}verifiers/");
        self.files.keys().filter_map(|name| Some(name.strip_prefix(&begun)?.to_owned())).collect()
    }

    pub(super) fn begin_passwords(
        &mut self,
        role: &str,
        cluster: &Cluster,
    ) -> Result<(), SecretsError> {
        let lost = |role: &&String| self.is_half_lost(role);
        let lost = cluster.postgresql.users.iter().filter(lost).cloned().collect::<Vec<_>>();
        std::iter::once(role)
            .chain(lost.iter().map(String::as_str))
            .try_for_each(|role| self.begin_password(role))
    }

    fn is_half_lost(&self, role: &str) -> bool {
        let has = ["passwords", "verifiers"].map(|kind| format!("{kind}/{role}"));
        has.iter().filter(|name| self.files.contains_key(*name)).count() == 1
    }

    /// Whether its password is not the one that its verifier was made from.
    pub(super) fn is_edited(&self, role: &str) -> bool {
        let [password, verifier] =
            ["passwords", "verifiers"].map(|kind| self.files.get(&format!("{kind}/{role}")));
        let pair = password.zip(verifier);
        pair.is_some_and(|(password, verifier)| !is_of(verifier.expose(), password.expose()))
    }

    /// Names each role whose password file was edited, and what helps.
    pub(super) fn edited(&self) -> impl Iterator<Item = String> {
        let roles = self.files.keys().filter_map(|name| name.strip_prefix("passwords/"));
        roles.filter(|role| self.is_edited(role)).map(|role| {
            let file = self.path(&format!("passwords/{role}"));
            format!("{} was edited: PostgreSQL may know another password. `pgha rotate --role {role}` gives it this one", file.display())
        })
    }

    /// Keeps a next password that an interrupted run made, because PostgreSQL may know it. A password that the user wrote into the file is
    /// used as the next one.
    fn begin_password(&mut self, role: &str) -> Result<(), SecretsError> {
        let [password, verifier] = next_pair(role);
        let own = self.files.get(&format!("passwords/{role}")).filter(|_| self.is_edited(role));
        let own = own.map(|text| text.expose().trim_end().to_owned());
        self.ensure_file(&password, || Ok(own.unwrap_or_else(random_password)))?;
        let text = self.file(&password).clone();
        self.ensure_file(&verifier, || Ok(scram_verifier(text.expose())))
    }

    pub(super) fn finish_passwords(&mut self) {
        for next in self.next_roles().iter().flat_map(|role| next_pair(role)) {
            if let Some(text) = self.files.get(&next).map(|text| text.expose().to_owned()) {
                self.put(&next[NEXT.len()..], text);
                self.drop(&next);
            }
        }
    }
}
