//! What a node is given: image, seed, and the labels that tell of them.

use std::path::PathBuf;

use pgha_core::manifest::Layer;
use pgha_platform::{ImageFile, Provider, ServerRequest};

use super::{ExecuteError, Executor, labels, now};
use crate::daemons::Daemons;
use crate::{label, seed};

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// What a node is to boot from.
    pub(super) fn request(&self, name: &str) -> Result<ServerRequest, ExecuteError> {
        let node = self.node(name)?;
        let image = self
            .manifest
            .image(&node.role_set)
            .ok_or_else(|| ExecuteError::Unknown(name.to_owned()))?;
        let seed = seed::pack(self.rendered, node, self.secrets, false)?;
        let data = image.data_format(self.cluster);
        let (postgresql, collations) =
            data.map(|data| (data.postgresql.to_string(), data.collations)).unwrap_or_default();
        Ok(ServerRequest {
            name: node.name.clone(),
            address: node.address,
            package_root: file(&image.package_root),
            configuration: file(&image.configuration),
            seed: seed.archive.to_vec(),
            volume: self.cluster.volume(node),
            labels: labels(&[
                (label::IMAGE, image.digest().as_str()),
                (label::SEED, seed.digest.as_str()),
                (label::ROLES, &node.role_set.to_string()),
                (label::POSTGRESQL, &postgresql),
                (label::COLLATIONS, &collations),
                (label::GENERATION, &self.generation.to_string()),
                (label::WISH, self.wish.as_str()),
                (label::PROVEN, "no"),
                (label::SINCE, &now()),
            ]),
        })
    }
}

fn file(layer: &Layer) -> ImageFile {
    ImageFile { path: PathBuf::from(&layer.path), sha256: layer.sha256.to_string() }
}
