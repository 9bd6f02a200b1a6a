//! Images: a package root, built rarely, and a configuration layer for each role set, built in well
//! under a second.

mod budget;
mod cache;
mod configuration;
mod disk;
pub mod flake;
pub mod given;
pub mod nix_checks;
mod nix_log;
pub mod nixos;
mod package_root;
mod recipe;
mod updates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgha_core::manifest::{Artifact, Image, Layer, Layers, Manifest};
use pgha_core::render::Rendered;
use pgha_core::service::SERVICES;
use pgha_core::{Cluster, Digest};
use pgha_platform::files::{self, FileError};
use pgha_platform::{Check, CommandError};

pub use package_root::PackageRoot;

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program of the build failed.
    #[error("the image could not be built")]
    Command(#[from] CommandError),
    /// The package source cannot be asked.
    #[error("nobody says what security updates there are: {0}")]
    Updates(CommandError),
    /// A file of the cache.
    #[error(transparent)]
    File(#[from] FileError),
    /// An archive could not be written.
    #[error("cannot write the configuration layer")]
    Archive(#[source] std::io::Error),
    /// No room for a build.
    #[error("{} has {free_mb} MB free, an image build needs {needed_mb} MB", dir.display())]
    Space {
        /// The cache directory.
        dir: PathBuf,
        /// Free megabytes.
        free_mb: u64,
        /// Needed megabytes.
        needed_mb: u64,
    },
    /// A disk is larger than the cluster file allows.
    #[error(
        "the disk of {role_set} has {compressed_mb:.1} MB compressed, its budget is {budget_mb} MB; the most take: {contents}"
    )]
    OverBudget {
        /// Roles of the nodes that boot it.
        role_set: String,
        /// Its size in megabytes, compressed with zstd.
        compressed_mb: f64,
        /// Allowed megabytes.
        budget_mb: u32,
        /// Its largest parts.
        contents: String,
    },
    /// An image does not say what is in it.
    #[error("{} does not say which versions are in the image", path.display())]
    Unversioned {
        /// Its manifest.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// Two builds of the same inputs differ.
    #[error("two builds of the package root differ: {first} and {second}")]
    NotReproducible {
        /// Digest of the first.
        first: Digest,
        /// Digest of the second.
        second: Digest,
    },
}

/// Where images are built and kept.
#[derive(Debug, Clone)]
pub struct Builder {
    cache: PathBuf,
}

impl Builder {
    /// A builder that keeps its images in `cache`.
    pub fn new(cache: PathBuf) -> Self {
        Self { cache }
    }

    /// What this machine needs for a build.
    pub fn checks() -> Vec<Check> {
        let programs = [
            ("mmdebstrap", "mmdebstrap"),
            ("mksquashfs", "squashfs-tools"),
            ("patch", "patch"),
            ("python3", "python3"),
            ("pip3", "python3-pip"),
            ("setpriv", "util-linux"),
        ];
        programs.iter().map(|(program, package)| Check::installed(program, package)).collect()
    }

    /// What this machine needs for [`Builder::disks`] beyond that.
    pub fn disk_checks() -> Vec<Check> {
        disk::checks()
    }

    /// Adds a raw disk to every image of a manifest.
    ///
    /// # Errors
    /// As [`Builder::build`], and when a disk is over its budget.
    pub async fn disks(
        &self,
        cluster: &Cluster,
        manifest: &mut Manifest,
    ) -> Result<(), ImageError> {
        for Image { role_set, base, artifact, .. } in &mut manifest.images {
            let Artifact::Layers { layers, disk } = artifact else { continue };
            let made = disk::ensure(&self.cache, role_set, layers).await?;
            budget::check(cluster, *base, role_set, &made)?;
            *disk = Some(made);
        }
        Ok(())
    }

    /// Builds what is missing and returns the manifest. With `refresh` the package root is built
    /// again from today's packages.
    ///
    /// # Errors
    /// When a tool is missing or fails, or the disk is full. Nothing half-built stays.
    pub async fn build(
        &self,
        cluster: &Cluster,
        rendered: &Rendered,
        refresh: bool,
    ) -> Result<Manifest, ImageError> {
        let root = package_root::ensure(&self.cache, refresh).await?;
        let mut images = Vec::new();
        for (role_set, tree) in &rendered.trees {
            let (base, versions) = (cluster.base, versions(&root.packages));
            let about =
                configuration::About { role_set, base, root: &root.layer, versions: &versions };
            let major = cluster.postgresql.major;
            let configuration = configuration::ensure(&self.cache, tree, &about, major).await?;
            let layers = Layers { package_root: root.layer.clone(), configuration };
            images.push(Image {
                role_set: role_set.clone(),
                base,
                tree: tree.digest(),
                artifact: Artifact::Layers { layers, disk: None },
                versions,
            });
        }
        Ok(Manifest { cluster: cluster.name.clone(), images })
    }

    /// Digest of the package root that a build would use today. Absent: it would have to build one
    /// first.
    pub fn newest_package_root(&self) -> Option<Digest> {
        package_root::noted(&self.cache).map(|root| root.layer.sha256)
    }

    /// Asks the package source for security updates of the newest package root, at most once a day.
    ///
    /// # Errors
    /// When it cannot be asked. Its last answer stays valid.
    pub async fn ask_for_updates(&self) -> Result<(), ImageError> {
        match package_root::noted(&self.cache) {
            Some(root) => updates::ask(&self.cache, &root).await,
            None => Ok(()),
        }
    }

    /// Which security updates the newest package root lacks, or that this is unknown, as text for people.
    pub fn updates(&self) -> Option<String> {
        updates::remark(&self.cache, &package_root::noted(&self.cache)?)
    }

    /// Builds every role set's disk on the NixOS base.
    ///
    /// # Errors
    /// When nix fails, and when a disk is over its budget.
    pub async fn nixos(
        &self,
        cluster: &Cluster,
        rendered: &Rendered,
        options: &nixos::NixOptions,
    ) -> Result<Manifest, ImageError> {
        nixos::build(&self.cache, cluster, rendered, options).await
    }

    /// Builds the package root `times` times from scratch and compares the results. Returns the
    /// last.
    ///
    /// # Errors
    /// [`ImageError::NotReproducible`] when they differ.
    pub async fn verify_reproducible(&self, times: u32) -> Result<PackageRoot, ImageError> {
        let mut last = package_root::ensure(&self.cache, true).await?;
        for _ in 1..times {
            let next = package_root::ensure(&self.cache, true).await?;
            if next.layer.sha256 != last.layer.sha256 {
                let (first, second) = (last.layer.sha256, next.layer.sha256);
                return Err(ImageError::NotReproducible { first, second });
            }
            last = next;
        }
        Ok(last)
    }
}

/// The packages whose version people ask for.
fn versions(packages: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let told = |name: &str| SERVICES.iter().any(|service| service.told.contains(&name));
    let asked = |name: &str| told(name) || name.starts_with("libicu");
    packages
        .iter()
        .filter(|(name, _)| asked(name))
        .map(|(name, version)| (name.clone(), version.clone()))
        .collect()
}

/// A file of an image that is missing, or is not as it was built.
#[derive(Debug, thiserror::Error)]
#[error("{file} {what}")]
pub struct AlteredError {
    /// The file.
    file: String,
    /// What is wrong with it.
    what: &'static str,
}

/// Checks every byte of an image.
///
/// # Errors
/// When a file is gone or altered.
pub(crate) fn unaltered(image: &Image) -> Result<(), AlteredError> {
    for layer in image.files() {
        let what = match files::altered(Path::new(&layer.path), layer.sha256.as_str()) {
            Ok(None) => continue,
            Ok(Some(what)) => what,
            Err(_) => "cannot be read",
        };
        return Err(AlteredError { file: layer.path.clone(), what });
    }
    Ok(())
}

fn layer(path: &Path, sha256: String, bytes: u64) -> Layer {
    Layer { path: path.display().to_string(), sha256: Digest::from(sha256), bytes }
}
