//! What a node is given: image, seed, and the labels that tell of them.

use std::path::PathBuf;

use pgha_core::manifest::Layer;
use pgha_platform::{ImageFile, Provider, ServerRequest, clock};

use super::{ExecuteError, Executor, labels};
use crate::daemons::Daemons;
use crate::label;
use crate::operate::Operator;
use crate::seed::{self, BlankDisk};

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// What a node is to boot from.
    pub(super) fn request(&self, name: &str) -> Result<ServerRequest, ExecuteError> {
        let node = self.node(name)?;
        let Operator { manifest, rendered, secrets, .. } = self.operator;
        let image =
            manifest.image(&node.role_set).ok_or_else(|| ExecuteError::Unknown(name.to_owned()))?;
        let digest = seed::digest(rendered, node, secrets);
        let ends = seed::certificates_end(rendered, node, secrets);
        let ends = ends.map_or_else(String::new, |end| end.to_string());
        let data = image.data_format(self.cluster());
        let (postgresql, collations) =
            data.map(|data| (data.postgresql.to_string(), data.collations)).unwrap_or_default();
        Ok(ServerRequest {
            name: node.name.clone(),
            address: node.address,
            package_root: file(&image.package_root),
            configuration: file(&image.configuration),
            seed: seed::pack(rendered, node, secrets, BlankDisk::Refuse)?.to_vec(),
            volume: self.cluster().volume(node),
            labels: labels(&[
                (label::IMAGE, image.digest().as_str()),
                (label::SEED, digest.as_str()),
                (label::IDENTITY, secrets.identity().as_str()),
                (label::SECRETS, &secrets.dir().display().to_string()),
                (label::ROLES, &node.role_set.to_string()),
                (label::POSTGRESQL, &postgresql),
                (label::COLLATIONS, &collations),
                (label::GENERATION, &self.plan.generation.to_string()),
                (label::WISH, self.plan.wish.as_str()),
                (label::PROVEN, "no"),
                (label::SINCE, &clock::now()),
                (label::CERTIFICATES_END, &ends),
            ]),
        })
    }

    /// The same, for a cluster that is to begin with the wanted dynamic configuration.
    pub(super) fn begun(&self, mut request: ServerRequest) -> ServerRequest {
        let dynamic = self.operator.rendered.dynamic_digest();
        request.labels.insert(label::DYNAMIC.to_owned(), dynamic.as_str().to_owned());
        request
    }
}

/// What a server has already is no roll that a rollback could undo.
pub(super) fn the_same_again(request: ServerRequest) -> ServerRequest {
    only(request, &[])
}

/// Nobody wants to go back to certificates that have ended.
pub(super) fn renewed(request: ServerRequest) -> ServerRequest {
    only(request, &[label::SINCE, label::CERTIFICATES_END])
}

/// The labels that say what a server has, and `more`.
fn only(mut request: ServerRequest, more: &[&str]) -> ServerRequest {
    let kept = [label::IMAGE, label::SEED, label::ROLES, label::POSTGRESQL, label::COLLATIONS];
    let is_kept = |label: &str| kept.contains(&label) || more.contains(&label);
    request.labels.retain(|label, _| is_kept(label));
    request
}

fn file(layer: &Layer) -> ImageFile {
    ImageFile { path: PathBuf::from(&layer.path), sha256: layer.sha256.to_string() }
}
