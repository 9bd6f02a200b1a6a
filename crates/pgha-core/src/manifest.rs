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

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Nodes with these roles boot it.
    pub role_set: RoleSet,
    /// Operating system.
    pub base: Base,
    /// Digest of the rendered tree inside it.
    pub tree: Digest,
    /// What boots.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// Versions of the daemons, and of the libraries that sort text, by the names of their packages
    /// in the base.
    pub versions: BTreeMap<String, String>,
}

/// The part of an image that boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Parts")]
pub enum Artifact {
    /// Layers, which a container boots.
    Layers {
        /// The layers.
        #[serde(flatten)]
        layers: Layers,
        /// The same with a kernel and a boot loader, for a machine. Absent: it was not requested.
        #[serde(skip_serializing_if = "Option::is_none")]
        disk: Option<Disk>,
    },
    /// A disk, which a machine boots, and nothing else.
    Disk {
        /// The disk.
        disk: Disk,
    },
}

/// The fields of an artifact that a manifest may have.
#[derive(Deserialize)]
struct Parts {
    package_root: Option<Layer>,
    configuration: Option<Layer>,
    disk: Option<Disk>,
}

impl TryFrom<Parts> for Artifact {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Self, String> {
        match (parts.package_root, parts.configuration, parts.disk) {
            (Some(package_root), Some(configuration), disk) => {
                Ok(Self::Layers { layers: Layers { package_root, configuration }, disk })
            }
            (None, None, Some(disk)) => Ok(Self::Disk { disk }),
            (None, None, None) => Err("an image has neither layers nor a disk".to_owned()),
            (None, ..) => Err("an image has no `package_root`".to_owned()),
            (_, None, _) => Err("an image has no `configuration`".to_owned()),
        }
    }
}

/// The two layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The packages, shared by all images of a base.
    pub package_root: Layer,
    /// The rendered files of the role set.
    pub configuration: Layer,
}

/// One raw disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The file.
    #[serde(flatten)]
    pub file: Layer,
    /// Its length in bytes after `zstd`: the size of an upload, which the size budget limits.
    pub compressed: u64,
    /// What takes the space, largest first.
    pub contents: Vec<Content>,
}

/// A part of a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// A layer, or a path of the Nix store.
    pub name: String,
    /// Its length in bytes, as stored on the disk.
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

impl Layers {
    /// The digest of both layers: any changed byte of either changes it.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        hasher
            .part(self.package_root.sha256.as_str().as_bytes())
            .part(self.configuration.sha256.as_str().as_bytes());
        hasher.finish()
    }
}

impl Image {
    /// The image's digest: equal for every node that boots it, changed by any changed byte of
    /// what boots.
    pub fn digest(&self) -> Digest {
        match &self.artifact {
            Artifact::Layers { layers, .. } => layers.digest(),
            Artifact::Disk { disk } => disk.file.sha256.clone(),
        }
    }

    /// The files that its digest covers.
    pub fn files(&self) -> Vec<&Layer> {
        match &self.artifact {
            Artifact::Layers { layers, .. } => vec![&layers.package_root, &layers.configuration],
            Artifact::Disk { disk } => vec![&disk.file],
        }
    }

    /// Its layers. Absent: it is a disk.
    pub fn layers(&self) -> Option<&Layers> {
        match &self.artifact {
            Artifact::Layers { layers, .. } => Some(layers),
            Artifact::Disk { .. } => None,
        }
    }

    /// Its disk. Absent: none was requested.
    pub fn disk(&self) -> Option<&Disk> {
        match &self.artifact {
            Artifact::Layers { disk, .. } => disk.as_ref(),
            Artifact::Disk { disk } => Some(disk),
        }
    }

    /// The data format of its PostgreSQL. Absent: it has no PostgreSQL.
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
