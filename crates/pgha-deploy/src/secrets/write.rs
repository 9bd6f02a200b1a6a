//! What is only in memory, and how it reaches the disk.

use std::sync::{MutexGuard, PoisonError};

use pgha_platform::files;

use super::{Secret, Secrets, SecretsError};

/// Held while files are written. Its name is none of a secret's.
const LOCK: &str = ".lock";

/// A file that is yet to be written.
pub(super) struct Pending {
    pub(super) name: String,
    /// What it would replace.
    pub(super) before: Option<Secret>,
}

impl Secrets {
    /// Writes what is only in memory, and nothing else. Repeated, it does nothing more.
    ///
    /// # Errors
    /// When a file cannot be written, and when somebody else has changed one since it was read: two
    /// first runs at once must not each make half of them.
    pub fn write(&self) -> Result<(), SecretsError> {
        let mut pending = self.pending();
        if pending.is_empty() {
            return Ok(());
        }
        files::make_dir(&self.dir, 0o700)?;
        let lock = files::lock(&self.dir.join(LOCK), "pgha writes the secrets")?;
        let _lock = lock.map_err(|holder| SecretsError::Busy { dir: self.dir.clone(), holder })?;
        pending.iter().try_for_each(|file| self.unchanged(file))?;
        pending.iter().try_for_each(|file| self.write_one(&file.name))?;
        pending.clear();
        Ok(())
    }

    /// Names of the files that [`Secrets::write`] would write.
    pub fn unwritten(&self) -> Vec<String> {
        self.pending().iter().map(|file| file.name.clone()).collect()
    }

    /// What [`Secrets::write`] would do, as people read it.
    pub fn remarks(&self) -> Vec<String> {
        let pending = self.pending();
        if pending.iter().any(|file| file.name == "cluster") {
            return vec![format!("the secrets are made in {}", self.dir.display())];
        }
        let (anew, new): (Vec<_>, Vec<_>) = pending.iter().partition(|file| file.before.is_some());
        let listed = |what: &str, files: Vec<&Pending>| {
            let names = files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>();
            (!names.is_empty()).then(|| format!("{what} in the secrets: {}", names.join(", ")))
        };
        listed("signed anew", anew).into_iter().chain(listed("new", new)).collect()
    }

    /// An interrupted run may have written some of what is pending.
    fn unchanged(&self, file: &Pending) -> Result<(), SecretsError> {
        let path = self.dir.join(&file.name);
        let found = match files::read(&path) {
            Err(error) if error.is_missing() => None,
            found => Some(found?),
        };
        let known = [file.before.as_ref(), self.files.get(&file.name)];
        let found = found.as_deref();
        match known.into_iter().any(|known| known.map(Secret::expose) == found) {
            true => Ok(()),
            false => Err(SecretsError::Changed { path }),
        }
    }

    fn write_one(&self, name: &str) -> Result<(), SecretsError> {
        let path = self.dir.join(name);
        files::make_dir(path.parent().unwrap_or(&self.dir), 0o700)?;
        Ok(files::write(&path, self.file(name).expose().as_bytes(), 0o600)?)
    }

    pub(super) fn pending_mut(&mut self) -> &mut Vec<Pending> {
        self.pending.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    use pgha_core::Cluster;

    use super::*;

    const FILE: &str = include_str!("../../../../tests/clusters/minimal.toml");

    fn prepare(dir: &Path, text: &str) -> Secrets {
        let (cluster, _) = Cluster::parse(text).expect("a cluster");
        Secrets::prepare(&dir.join("s"), &cluster, &[]).expect("secrets")
    }

    /// Every secret with its content.
    fn listed(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir).expect("a directory").flatten() {
            match entry.path().is_dir() {
                true => files.extend(listed(&entry.path())),
                false if entry.file_name() == LOCK => {}
                false => drop(files.insert(entry.path(), fs::read(entry.path()).expect("bytes"))),
            }
        }
        files
    }

    #[test]
    fn nothing_is_on_disk_until_it_is_written_and_then_nothing_is_pending() {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = prepare(dir.path(), FILE);
        assert!(listed(dir.path()).is_empty() && secrets.remarks().len() == 1);
        secrets.write().expect("written");
        assert!(secrets.unwritten().is_empty() && prepare(dir.path(), FILE).unwritten().is_empty());
    }

    #[test]
    fn an_edited_file_changes_nothing_until_it_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        prepare(dir.path(), FILE).write().expect("written");
        let before = listed(dir.path());
        let user = format!("{FILE}\n[postgresql]\nusers = [{{ name = \"new\" }}]\n");
        let edits = [user, FILE.replace("1.13", "1.23"), FILE.replace("node-3", "node-9")];
        for text in edits {
            assert!(!prepare(dir.path(), &text).unwritten().is_empty());
            assert!(prepare(dir.path(), FILE).unwritten().is_empty());
            assert!(listed(dir.path()) == before);
        }
    }

    #[test]
    fn the_order_of_nodes_signs_nothing_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        prepare(dir.path(), FILE).write().expect("written");
        let mut lines = FILE.lines().collect::<Vec<_>>();
        let line = |name| FILE.lines().position(|line| line.contains(name)).expect("a node");
        lines.swap(line("node-1"), line("node-2"));
        let swapped = lines.join("\n");
        assert!(prepare(dir.path(), &swapped).unwritten().is_empty());
    }

    #[test]
    fn of_two_first_runs_at_once_the_second_makes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (prepare(dir.path(), FILE), prepare(dir.path(), FILE));
        first.write().expect("written");
        let before = listed(dir.path());
        assert!(matches!(second.write(), Err(SecretsError::Changed { .. })));
        assert!(listed(dir.path()) == before);
    }
}
