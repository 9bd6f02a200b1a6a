//! What an operator wants: a cluster file with images and seeds by number, of one of several
//! clusters.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use pgha_core::Digest;
use pgha_core::Dynamic;
use pgha_core::cluster::{Cluster, Node, Role, RoleSet};
use pgha_core::manifest::{Artifact, Image, Layer, Layers, Manifest};
use pgha_core::plan::Desired;
use pgha_core::render::{self, Rendered};
use pgha_deploy::archive::Archive;
use pgha_deploy::secrets::Secrets;
use pgha_deploy::seed::BlankDisk;
use pgha_platform::files::{self, FileError};
use serde_json::json;

/// Three nodes under quorum, five of which one is synchronous, and two that route to three.
const FILES: [&str; 3] = [
    include_str!("../../../../tests/clusters/minimal.toml"),
    include_str!("../../../../tests/clusters/five-strict.toml"),
    include_str!("../../../../tests/clusters/dedicated-haproxy.toml"),
];

/// What a seed of the model says of itself.
pub(crate) const NUMBER: &str = "number";

/// A value of `max_connections` with which no PostgreSQL starts.
pub(crate) const TOO_MANY: u32 = 9999;

/// Values that are edited into the file, the bad one last.
pub(crate) const CONNECTIONS: [u32; 4] = [200, 150, 300, TOO_MANY];

/// What an operator's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) image: u32,
    pub(crate) seed: u32,
    /// Applied by a restart.
    pub(crate) max_connections: u32,
    /// Applied at once.
    pub(crate) work_mem: u32,
    /// Version of what sorts text. Data of another one is not taken over.
    pub(crate) libc: u32,
}

/// One cluster, its secrets and what they render to. Made once: no run changes them.
pub(crate) struct Subject {
    pub(crate) cluster: Cluster,
    pub(crate) secrets: Secrets,
    pub(crate) archive: Archive,
    rendered: Rendered,
}

/// The cluster of a run.
pub(crate) fn subject(seed: u64) -> &'static Subject {
    static SUBJECTS: [OnceLock<Subject>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
    let which = [0, 0, 2, 1][(seed % 4) as usize];
    SUBJECTS[which].get_or_init(|| {
        let (mut cluster, _) = Cluster::parse(FILES[which]).expect("a cluster");
        // Every second of a hold is four looks at the model.
        cluster.timing.gate_hold = 5;
        let dir = tempfile::tempdir().expect("a directory").keep();
        let secrets = Secrets::prepare(&dir.join("s"), &cluster, &[]).expect("secrets");
        secrets.write().expect("written");
        let rendered = render::render(&cluster).expect("a rendering");
        let archive = Archive::new(dir.join("archive"));
        let subject = Subject { cluster, secrets, archive, rendered };
        subject.keep(&Wish::first()).expect("kept");
        subject
    })
}

impl Subject {
    /// What the cluster was formed with is in the archive, as `up` leaves it.
    fn keep(&self, wish: &Wish) -> Result<(), FileError> {
        let rendered = wish.made(self).rendered;
        for node in &self.cluster.nodes {
            let packed = pgha_deploy::seed::pack(&rendered, node, &self.secrets, BlankDisk::Refuse);
            self.archive.keep_seed(&seed(&node.name, wish.seed), &packed.expect("packed"))?;
        }
        let images = manifest(&self.cluster, wish.image, wish.libc).images;
        images.iter().try_for_each(|image| self.archive.keep_image(image))
    }
}

/// What a wish becomes.
pub(crate) struct Made {
    pub(crate) rendered: Rendered,
    pub(crate) manifest: Manifest,
    /// The model's seeds have numbers: what is in the real ones is not its business.
    seed: u32,
}

impl Wish {
    pub(crate) fn first() -> Self {
        Self { image: 0, seed: 0, max_connections: CONNECTIONS[0], work_mem: 4, libc: 41 }
    }

    /// Asks for another image. Gives the digests that it has.
    pub(crate) fn new_image(&mut self, cluster: &Cluster) -> Vec<Digest> {
        self.image += 1;
        images(cluster, self.image)
    }

    /// Asks for another seed of every node. Gives their digests.
    pub(crate) fn new_seed(&mut self, cluster: &Cluster) -> Vec<Digest> {
        self.seed += 1;
        seeds(cluster, self.seed)
    }

    pub(crate) fn made(&self, subject: &Subject) -> Made {
        let mut rendered = subject.rendered.clone();
        rendered.dynamic = self.dynamic(subject);
        // What is in a real seed does not change here: it says which one it is.
        for (node, made) in &mut rendered.seeds {
            made.files.insert(NUMBER.to_owned(), seed(node, self.seed).to_string());
        }
        Made {
            rendered,
            manifest: manifest(&subject.cluster, self.image, self.libc),
            seed: self.seed,
        }
    }

    pub(crate) fn dynamic(&self, subject: &Subject) -> Dynamic {
        let mut dynamic = subject.rendered.dynamic.json().clone();
        let parameters = &mut dynamic["postgresql"]["parameters"];
        parameters["max_connections"] = json!(self.max_connections);
        parameters["work_mem"] = json!(format!("{}MB", self.work_mem));
        dynamic.into()
    }
}

impl Wish {
    /// What each node runs with this wish: the digest of its image, and what sorts its data.
    pub(crate) fn given(&self, cluster: &Cluster) -> BTreeMap<String, (Digest, String)> {
        let manifest = manifest(cluster, self.image, self.libc);
        let one = |node: &Node| {
            let image = manifest.image(&node.role_set).expect("an image for every role set");
            let collations = image.data_format(cluster).map(|data| data.collations);
            (node.name.clone(), (image.digest(), collations.unwrap_or_default()))
        };
        cluster.nodes.iter().map(one).collect()
    }
}

impl Made {
    pub(crate) fn desired<'c>(&'c self, cluster: &'c Cluster) -> Desired<'c> {
        let image =
            |node: &Node| self.manifest.image(&node.role_set).expect("an image for every role set");
        let nodes = || cluster.nodes.iter();
        let data = nodes().filter_map(|n| Some((n.name.clone(), image(n).data_format(cluster)?)));
        Desired {
            cluster,
            images: nodes().map(|node| (node.name.clone(), image(node).digest())).collect(),
            seeds: nodes().map(|node| (node.name.clone(), seed(&node.name, self.seed))).collect(),
            data: data.collect(),
            dynamic: &self.rendered.dynamic,
        }
    }
}

fn manifest(cluster: &Cluster, version: u32, libc: u32) -> Manifest {
    let layer = |what: String| Layer {
        path: file(&what).display().to_string(),
        sha256: Digest::of(what.as_bytes()),
        bytes: what.len() as u64,
    };
    let image = |role_set: &RoleSet| Image {
        role_set: role_set.clone(),
        base: cluster.base,
        tree: Digest::of(b"tree"),
        artifact: Artifact::Layers {
            layers: Layers {
                package_root: layer(format!("root {version} {libc}")),
                configuration: layer(format!("configuration {role_set} {version}")),
            },
            disk: None,
        },
        versions: BTreeMap::from([("libc6".to_owned(), format!("2.{libc}-1"))]),
    };
    let role_sets = cluster.nodes.iter().map(|node| &node.role_set).collect::<BTreeSet<_>>();
    Manifest { cluster: cluster.name.clone(), images: role_sets.into_iter().map(image).collect() }
}

/// A layer is a file that holds its own name.
fn file(what: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| tempfile::tempdir().expect("a directory").keep());
    let path = dir.join(what);
    if !path.exists() {
        files::write(&path, what.as_bytes(), 0o600).expect("written");
    }
    path
}

/// Digests of all images with a number.
pub(crate) fn images(cluster: &Cluster, version: u32) -> Vec<Digest> {
    let manifest = manifest(cluster, version, Wish::first().libc);
    manifest.images.iter().map(Image::digest).collect()
}

/// Digests of the seeds of all nodes with a number.
pub(crate) fn seeds(cluster: &Cluster, version: u32) -> Vec<Digest> {
    cluster.nodes.iter().map(|node| seed(&node.name, version)).collect()
}

pub(crate) fn seed(node: &str, version: u32) -> Digest {
    Digest::of(format!("seed {version} of {node}").as_bytes())
}

/// The nodes with a role, by name.
pub(crate) fn with(cluster: &Cluster, role: Role) -> BTreeSet<String> {
    cluster.nodes_with(role).map(|node| node.name.clone()).collect()
}
