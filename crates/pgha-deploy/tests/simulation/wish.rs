//! What the operator wants: images and seeds by number, of one of several clusters.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pgha_core::Digest;
use pgha_core::cluster::Cluster;
use pgha_core::manifest::{Image, Layer, Manifest};
use pgha_core::plan::Desired;
use pgha_core::render::Rendered;
use pgha_deploy::secrets::Secrets;

/// Three nodes under quorum, and five of which one is synchronous.
const FILES: [&str; 2] = [
    include_str!("../../../../tests/clusters/minimal.toml"),
    include_str!("../../../../tests/clusters/five-strict.toml"),
];

/// What is wanted at one moment.
pub(crate) struct Wanted {
    pub(crate) rendered: Rendered,
    pub(crate) manifest: Manifest,
    pub(crate) seed: Digest,
}

impl Wanted {
    pub(crate) fn desired<'c>(&'c self, cluster: &'c Cluster) -> Desired<'c> {
        let image = self.manifest.images[0].digest();
        let all = |digest: &Digest| {
            cluster.nodes.iter().map(|node| (node.name.clone(), digest.clone())).collect()
        };
        Desired {
            cluster,
            images: all(&image),
            seeds: all(&self.seed),
            data: BTreeMap::new(),
            dynamic: &self.rendered.dynamic,
        }
    }
}

/// The cluster of a run, and its secrets. Those are made once: no run looks into them.
pub(crate) fn cluster(seed: u64) -> (Cluster, &'static Secrets) {
    static SECRETS: [OnceLock<Secrets>; 2] = [OnceLock::new(), OnceLock::new()];
    let which = usize::from(seed % 4 == 3);
    let (mut cluster, _) = Cluster::parse(FILES[which]).expect("a cluster");
    // Nothing here shows itself later, and every second of a hold is four looks at the model.
    cluster.timing.gate_hold = 10;
    let secrets = SECRETS[which].get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        Secrets::ensure(&dir.path().join("s"), &cluster, &[]).expect("secrets")
    });
    (cluster, secrets)
}

pub(crate) fn manifest(cluster: &Cluster, version: u32) -> Manifest {
    let layer = |what: &str| Layer {
        path: format!("/{what}"),
        sha256: Digest::of(format!("{what} {version}").as_bytes()),
        bytes: 1,
    };
    let image = Image {
        role_set: cluster.nodes[0].role_set.clone(),
        base: cluster.base,
        tree: Digest::of(b"tree"),
        package_root: layer("root"),
        configuration: layer("configuration"),
        versions: BTreeMap::new(),
        disk: None,
    };
    Manifest { cluster: cluster.name.clone(), images: vec![image] }
}

pub(crate) fn image(cluster: &Cluster, version: u32) -> String {
    manifest(cluster, version).images[0].digest().to_string()
}

/// The model's seeds have numbers: what is in the real ones is not its business.
pub(crate) fn seed(version: u32) -> Digest {
    Digest::of(format!("seed {version}").as_bytes())
}
