//! What nodes boot from, kept by digest. A plan names digests, and whatever a node was given can be given to it again.
//!
//! ```text
//! SECRETS/archive/images/DIGEST.json   an image as its manifest has it; its files stay in the image cache
//! SECRETS/archive/seeds/DIGEST         identity and secrets of one node (mode 0600)
//! ```

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pgha_core::Digest;
use pgha_core::inventory::{Given, Server};
use pgha_core::manifest::Image;
use pgha_platform::files::{self, FileError};
use zeroize::Zeroizing;

use crate::image::{AlteredError, unaltered};
use crate::seed;

/// An entry that no server names is dropped at this age. Not sooner, because another operator may
/// be about to give it to a server.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why something cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No earlier image and seed of the server have proven themselves.
    #[error("nothing that it had before has proven itself")]
    Nothing,
    /// Its certificates have expired, so no peer would accept its daemons.
    #[error("the certificates that it had before have ended")]
    Ended,
    /// Another pgha with other secrets gave it to the node, or the directory was emptied.
    #[error("{what} {} is not in {}", digest.short(), dir.display())]
    Missing {
        /// An image or a seed.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// The archive.
        dir: PathBuf,
    },
    /// A file of the image is gone, or is not what it was.
    #[error("{0}; was the image cache emptied or altered?")]
    Altered(#[from] AlteredError),
    /// An image's entry cannot be read.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The entry.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A seed cannot be unpacked.
    #[error("{} is damaged", path.display())]
    DamagedSeed {
        /// The seed.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// A file of the archive.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The archive of one cluster.
#[derive(Debug, Clone)]
pub struct Archive {
    dir: PathBuf,
}

impl Archive {
    /// The archive in a directory, which need not be there.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Keeps an image. An existing entry stays while its files exist. Otherwise this image, with
    /// the paths of its own build, replaces it.
    ///
    /// # Errors
    /// When its entry cannot be written.
    pub fn keep_image(&self, image: &Image) -> Result<(), FileError> {
        let path = self.entry_of_image(&image.digest());
        let is_there =
            |kept: &Image| kept.files().iter().all(|file| Path::new(&file.path).exists());
        if read_image(&path).is_ok_and(|kept| is_there(&kept)) {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(image).unwrap_or_default();
        files::make_dir(&self.dir.join("images"), 0o700)?;
        files::write(&path, text.as_bytes(), 0o600)
    }

    /// Whether a seed is kept.
    pub fn has_seed(&self, digest: &Digest) -> bool {
        self.entry_of_seed(digest).exists()
    }

    /// Keeps a seed. It replaces one with the same digest, because the digest leaves out what only a first start reads.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_seed(&self, digest: &Digest, packed: &[u8]) -> Result<(), FileError> {
        let path = self.entry_of_seed(digest);
        files::make_dir(&self.dir.join("seeds"), 0o700)?;
        files::write(&path, packed, 0o600)
    }

    /// An image, after a check that every byte is as it was built.
    ///
    /// # Errors
    /// When it is not kept, or its files are not what they were.
    pub fn image(&self, digest: &Digest) -> Result<Image, ArchiveError> {
        let image = self.described(digest)?;
        unaltered(&image)?;
        Ok(image)
    }

    /// An image as it was built, without a look at its files. For callers whose provider checks the files when it boots them.
    ///
    /// # Errors
    /// When it is not kept.
    pub fn described(&self, digest: &Digest) -> Result<Image, ArchiveError> {
        read_image(&self.entry_of_image(digest)).map_err(|error| match error {
            ArchiveError::File(error) => self.missing("image", digest, error),
            error => error,
        })
    }

    /// A seed, ready for delivery, and when the first of its certificates expires, in seconds since 1970.
    ///
    /// # Errors
    /// When it is not kept, or its certificates have expired, so that no peer would accept a node
    /// with it.
    pub fn seed(&self, digest: &Digest) -> Result<(Zeroizing<Vec<u8>>, Option<i64>), ArchiveError> {
        let path = self.entry_of_seed(digest);
        let bytes = std::fs::read(&path).map_err(FileError::at("read", &path));
        let packed = Zeroizing::new(bytes.map_err(|error| self.missing("seed", digest, error))?);
        let end = seed::certificates_end(&packed)
            .map_err(|source| ArchiveError::DamagedSeed { path, source })?;
        match end.is_some_and(|end| end <= jiff::Timestamp::now().as_second()) {
            true => Err(ArchiveError::Ended),
            false => Ok((packed, end)),
        }
    }

    /// Checks that what a server would go back to can be booted.
    ///
    /// # Errors
    /// Why it could not.
    pub fn check_bootable(&self, given: Option<&Given>) -> Result<(), ArchiveError> {
        let given = given.ok_or(ArchiveError::Nothing)?;
        self.seed(&given.seed)?;
        self.image(&given.image).map(drop)
    }

    /// Drops what no server has or would go back to, once it is 30 days old.
    pub fn sweep(&self, servers: &[Server]) {
        let named =
            servers.iter().flat_map(|server| [Some(&server.given), server.previous.as_ref()]);
        let named = named.flatten().flat_map(|given| [given.image.id(), given.seed.id()]);
        let named = named.collect::<Vec<_>>();
        let entries = ["images", "seeds"].map(|kind| std::fs::read_dir(self.dir.join(kind)));
        let paths = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.path());
        let unused = paths.filter(|path| {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            !named.contains(&name.as_ref()) && is_old(path)
        });
        // What cannot be removed now is tried again by the next run.
        unused.for_each(|path| drop(files::remove(&path)));
    }

    /// Drops every seed that no server has. It may hold secrets that were rotated away: a node that booted it would lock everyone out.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub fn keep_only_given(&self, servers: &[Server]) -> Result<(), FileError> {
        let given = servers.iter().map(|server| server.given.seed.id()).collect::<Vec<_>>();
        let seeds = std::fs::read_dir(self.dir.join("seeds")).into_iter().flatten().flatten();
        let names = seeds.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut gone = names.filter(|name| !given.contains(&name.as_str()));
        gone.try_for_each(|name| files::remove(&self.dir.join("seeds").join(name)))
    }

    fn missing(&self, what: &'static str, digest: &Digest, error: FileError) -> ArchiveError {
        match error.is_missing() {
            true => ArchiveError::Missing { what, digest: digest.clone(), dir: self.dir.clone() },
            false => error.into(),
        }
    }

    fn entry_of_image(&self, digest: &Digest) -> PathBuf {
        self.dir.join("images").join(format!("{}.json", digest.id()))
    }

    fn entry_of_seed(&self, digest: &Digest) -> PathBuf {
        self.dir.join("seeds").join(digest.id())
    }
}

fn read_image(path: &Path) -> Result<Image, ArchiveError> {
    let text = files::read(path)?;
    let damaged = |source| ArchiveError::Damaged { path: path.to_owned(), source };
    serde_json::from_str(&text).map_err(damaged)
}

fn is_old(path: &Path) -> bool {
    let written = path.metadata().and_then(|metadata| metadata.modified());
    written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > UNUSED))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pgha_core::cluster::Cluster;
    use pgha_core::manifest::{Artifact, Layer, Layers};

    use super::*;

    const FILE: &str = include_str!("../../../tests/clusters/minimal.toml");

    /// An image whose layers are files of `dir`.
    fn image(dir: &Path) -> Image {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        std::fs::create_dir_all(dir).expect("a directory");
        let layer = |name: &str| {
            let path = dir.join(name);
            std::fs::write(&path, name).expect("written");
            let (path, sha256) = (path.display().to_string(), Digest::of(name.as_bytes()));
            Layer { path, sha256, bytes: name.len() as u64 }
        };
        let layers = Layers { package_root: layer("root"), configuration: layer("files") };
        Image {
            role_set: cluster.nodes[0].role_set.clone(),
            base: cluster.base,
            tree: Digest::of(b"tree"),
            artifact: Artifact::Layers { layers, disk: None },
            versions: BTreeMap::new(),
        }
    }

    #[test]
    fn an_image_is_found_where_its_files_are_and_only_as_it_was_built() {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = Archive::new(dir.path().join("archive"));
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        let (first, second) = (image(&here), image(&there));
        let digest = first.digest();
        assert!(matches!(archive.image(&digest), Err(ArchiveError::Missing { .. })));
        archive.keep_image(&first).expect("kept");
        archive.keep_image(&second).expect("kept");
        assert_eq!(archive.image(&digest).expect("whole"), first, "it is still there");
        std::fs::write(here.join("files"), "others").expect("altered");
        assert!(matches!(archive.image(&digest), Err(ArchiveError::Altered(_))));
        std::fs::remove_dir_all(&here).expect("gone");
        archive.keep_image(&second).expect("kept");
        assert_eq!(archive.image(&digest).expect("whole"), second);
    }

    #[test]
    fn a_seed_that_is_damaged_or_missing_is_told_before_anything_is_done() {
        let dir = tempfile::tempdir().expect("a directory");
        let archive = Archive::new(dir.path().to_owned());
        let digest = Digest::of(b"seed");
        assert!(matches!(archive.seed(&digest), Err(ArchiveError::Missing { .. })));
        archive.keep_seed(&digest, b"not a seed").expect("kept");
        assert!(matches!(archive.seed(&digest), Err(ArchiveError::DamagedSeed { .. })));
        assert!(matches!(archive.check_bootable(None), Err(ArchiveError::Nothing)));
    }
}
