//! `manifest.json`: what an image is, written beside it and read by the plan.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::{Base, Cluster, Role, RoleSet};
use crate::data_format::DataFormat;
use crate::digest::{Digest, Hasher};

/// The images of one cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the cluster the images were made for.
    pub cluster: String,
    /// One image for each role set.
    pub images: Vec<Image>,
}

/// One image: a package root and a configuration layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Nodes with these roles boot it.
    pub role_set: RoleSet,
    /// Operating system.
    pub base: Base,
    /// Digest of the rendered tree inside the configuration layer.
    pub tree: Digest,
    /// The packages, shared by all images of a base.
    pub package_root: Layer,
    /// The rendered files of the role set.
    pub configuration: Layer,
    /// Versions of the daemons, by package name.
    pub versions: BTreeMap<String, String>,
    /// The same layers with a kernel and a boot loader, as one disk for a machine. Absent: not
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
}

/// Disks of a base whose images have no layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskManifest {
    /// Name of the cluster the disks were made for.
    pub cluster: String,
    /// One disk for each role set.
    pub images: Vec<DiskImage>,
}

/// An image that is a disk and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskImage {
    /// Nodes with these roles boot it.
    pub role_set: RoleSet,
    /// Operating system.
    pub base: Base,
    /// Digest of the rendered tree inside it.
    pub tree: Digest,
    /// The raw disk.
    pub disk: Disk,
}

/// One raw disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The file.
    #[serde(flatten)]
    pub file: Layer,
    /// Its length in bytes after `zstd`: what an upload takes, and what the size budget is about.
    pub compressed: u64,
    /// What takes the space, largest first.
    pub contents: Vec<Content>,
}

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// A layer, or a path of the Nix store.
    pub name: String,
    /// Its length in bytes, as it lies there.
    pub bytes: u64,
}

/// One file of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Absolute path of the file on the building machine.
    pub path: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Image {
    /// The image's digest: equal for every node that boots it, changed by any changed byte of
    /// either layer.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher
            .part(self.package_root.sha256.as_str().as_bytes())
            .part(self.configuration.sha256.as_str().as_bytes());
        hasher.finish()
    }

    /// What it is made of.
    pub fn layers(&self) -> [&Layer; 2] {
        [&self.package_root, &self.configuration]
    }

    /// What its PostgreSQL writes. Absent: it has none.
    pub fn data_format(&self, cluster: &Cluster) -> Option<DataFormat> {
        self.role_set
            .has(Role::Postgres)
            .then(|| DataFormat::of(cluster.postgresql.major, &self.versions))
    }
}

impl Manifest {
    /// The image of a role set.
    pub fn image(&self, role_set: &RoleSet) -> Option<&Image> {
        self.images.iter().find(|image| image.role_set == *role_set)
    }
}
