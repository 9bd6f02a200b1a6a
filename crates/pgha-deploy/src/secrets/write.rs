//! What is only in memory, and how it reaches the disk.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use pgha_platform::files;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Secret, Secrets, SecretsError};

/// Held while files are written. No secret has this name.
const LOCK: &str = ".lock";

/// Everything that is being written. Half of a set would be worse than nothing, so the next run that finds this file completes it.
const UNDER_WAY: &str = ".under-way.json";

/// How many files of a kind are named to the user.
const NAMED: usize = 4;

/// A file that is yet to be written, or removed where there is none in memory.
pub(super) struct Pending {
    pub(super) name: String,
    /// What it would replace.
    pub(super) before: Option<Secret>,
}

impl Secrets {
    /// Writes what is only in memory, and nothing else. A second call does nothing.
    ///
    /// # Errors
    /// When a file cannot be written, or was changed since it was read. Two first runs at once must
    /// not each make half of the files.
    pub fn write(&self) -> Result<(), SecretsError> {
        let mut pending = self.pending();
        if pending.is_empty() && !self.dir.join(UNDER_WAY).exists() {
            return Ok(());
        }
        files::make_dir(&self.dir, 0o700)?;
        let lock = files::lock(&self.dir.join(LOCK), "pgha writes the secrets")?;
        let _lock = lock.map_err(|holder| SecretsError::Busy { dir: self.dir.clone(), holder })?;
        pending.iter().try_for_each(|file| self.unchanged(file))?;
        let under_way = self.dir.join(UNDER_WAY);
        files::write(&under_way, self.listed(&pending).as_bytes(), 0o600)?;
        pending.iter().try_for_each(|file| self.write_one(&file.name))?;
        files::remove(&under_way)?;
        pending.clear();
        Ok(())
    }

    /// Content of each file by name. A file to remove has no content.
    fn listed(&self, pending: &[Pending]) -> Zeroizing<String> {
        let files = pending.iter().map(|file| {
            let text = self.files.get(&file.name).map(Secret::expose);
            (file.name.as_str(), text)
        });
        Zeroizing::new(json!(files.collect::<BTreeMap<_, _>>()).to_string())
    }

    /// Treats what an interrupted run was writing as if it had been written.
    pub(super) fn take_up(&mut self) -> Result<(), SecretsError> {
        let path = self.dir.join(UNDER_WAY);
        let text = match files::read(&path) {
            Err(error) if error.is_missing() => return Ok(()),
            text => Zeroizing::new(text?),
        };
        let unreadable = |source| SecretsError::Damaged { path, source };
        let files: BTreeMap<String, Option<String>> =
            serde_json::from_str(&text).map_err(unreadable)?;
        for (name, text) in files {
            let found = self.files.get(&name).map(Secret::expose);
            match text {
                Some(text) if found != Some(&text) => self.put(&name, text),
                Some(_) => {}
                None => self.drop(&name),
            }
        }
        Ok(())
    }

    /// Whether such a file has never been on disk.
    pub fn is_new(&self, name: &str) -> bool {
        self.pending().iter().any(|file| file.name == name && file.before.is_none())
    }

    /// Names of the files that [`Secrets::write`] would write.
    pub fn unwritten(&self) -> Vec<String> {
        self.pending().iter().map(|file| file.name.clone()).collect()
    }

    /// What is unfinished, and what [`Secrets::write`] would do, as text for people.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.unfinished();
        remarks.extend(self.to_write());
        remarks
    }

    fn to_write(&self) -> Vec<String> {
        let pending = self.pending();
        if pending.iter().any(|file| file.name == "cluster") {
            return vec![format!("the secrets are made in {}", self.dir.display())];
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            pending.iter().partition(|file| !self.files.contains_key(&file.name));
        let (anew, new): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|file| file.before.is_some());
        let (signed, changed): (Vec<_>, Vec<_>) =
            anew.into_iter().partition(|file| file.name.ends_with(".crt"));
        let listed = |what: &str, files: Vec<&Pending>| {
            let names = files.iter().take(NAMED).map(|file| file.name.as_str());
            let more = files.len().saturating_sub(NAMED);
            let more = (more > 0).then(|| format!("{more} more"));
            let names = names.map(str::to_owned).chain(more).collect::<Vec<_>>();
            (!names.is_empty()).then(|| format!("{what} the secrets: {}", names.join(", ")))
        };
        let listed = [
            listed("signed anew in", signed),
            listed("changed in", changed),
            listed("new in", new),
            listed("dropped from", gone),
        ];
        listed.into_iter().flatten().collect()
    }

    /// Checks that the file was not changed. An interrupted run may have written it already.
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
        if !self.files.contains_key(name) {
            return Ok(files::remove(&path)?);
        }
        files::make_dir(path.parent().unwrap_or(&self.dir), 0o700)?;
        Ok(files::write(&path, self.file(name).expose().as_bytes(), 0o600)?)
    }

    /// Writes like a run that is interrupted after this many files.
    #[cfg(test)]
    pub(super) fn write_some(&self, files: usize) {
        let pending = self.pending();
        let text = self.listed(&pending);
        files::write(&self.dir.join(UNDER_WAY), text.as_bytes(), 0o600).expect("written");
        let some = pending.iter().take(files);
        some.for_each(|file| self.write_one(&file.name).expect("written"));
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
