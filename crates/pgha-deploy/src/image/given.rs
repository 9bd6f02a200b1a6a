//! A manifest from outside: images that were built earlier, and perhaps tried on another cluster,
//! are rolled as they are.

use std::path::{Path, PathBuf};

use pgha_core::Cluster;
use pgha_core::manifest::Manifest;
use pgha_core::render::Rendered;
use pgha_platform::files::{self, FileError};

use super::{AlteredError, unaltered};

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// It, or a file it names, cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a manifest.
    #[error("{} is no manifest", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// It was made for another cluster.
    #[error("{} is of cluster `{found}`, not `{wanted}`", path.display())]
    Foreign {
        /// Its path.
        path: PathBuf,
        /// The cluster it was made for.
        found: String,
        /// The cluster of the file.
        wanted: String,
    },
    /// Its images hold other files than the cluster file renders to now.
    #[error("the image of {role_set} in {} was built from another cluster file", path.display())]
    Outdated {
        /// The manifest's path.
        path: PathBuf,
        /// Roles of the nodes that boot it.
        role_set: String,
    },
    /// It has disks, but local nodes boot layers.
    #[error("{} has disks: local nodes boot layers, machines boot disks", path.display())]
    Disks {
        /// The manifest's path.
        path: PathBuf,
    },
    /// A file is not what was built.
    #[error(transparent)]
    Changed(#[from] AlteredError),
}

/// Reads a manifest and checks every byte it names. The plan decides whether every node has an
/// image.
///
/// # Errors
/// When it was not made from this cluster file, or one of its files is missing or altered.
pub fn read(path: &Path, cluster: &Cluster, rendered: &Rendered) -> Result<Manifest, GivenError> {
    let manifest: Manifest = serde_json::from_str(&files::read(path)?)
        .map_err(|source| GivenError::Unreadable { path: path.to_owned(), source })?;
    if manifest.cluster != cluster.name {
        let (found, wanted) = (manifest.cluster, cluster.name.clone());
        return Err(GivenError::Foreign { path: path.to_owned(), found, wanted });
    }
    if manifest.images.iter().any(|image| image.layers().is_none()) {
        return Err(GivenError::Disks { path: path.to_owned() });
    }
    for image in &manifest.images {
        let tree = rendered.trees.get(&image.role_set);
        if tree.is_some_and(|tree| tree.digest() != image.tree) {
            let role_set = image.role_set.to_string();
            return Err(GivenError::Outdated { path: path.to_owned(), role_set });
        }
        unaltered(image)?;
    }
    Ok(manifest)
}
