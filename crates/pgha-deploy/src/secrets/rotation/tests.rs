//! Rotations, and what interrupts them.

use super::*;

const FILE: &str = include_str!("../../../../../tests/clusters/minimal.toml");
const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

struct Lab {
    dir: tempfile::TempDir,
    cluster: Cluster,
}

impl Lab {
    fn new() -> Self {
        let (cluster, _) = Cluster::parse(FILE).expect("a cluster");
        let lab = Self { dir: tempfile::tempdir().expect("a directory"), cluster };
        let made = Secrets::prepare(&lab.path(), &lab.cluster, &[]).expect("secrets");
        made.write().expect("written");
        lab
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("s")
    }

    fn running() -> Vec<String> {
        NODES.map(str::to_owned).into()
    }

    fn read(&self) -> Secrets {
        Secrets::prepare(&self.path(), &self.cluster, &Self::running()).expect("secrets")
    }

    fn turned(&self, turn: &Turn) -> Result<Secrets, SecretsError> {
        Secrets::turned(&self.path(), &self.cluster, &Self::running(), turn)
    }

    /// Writes a turn. What was written needs nothing more.
    fn turn(&self, turn: &Turn) -> Secrets {
        self.turned(turn).and_then(|secrets| secrets.write()).expect("written");
        let secrets = self.read();
        assert_eq!(secrets.unwritten(), Vec::<String>::new());
        secrets
    }
}

fn all() -> Turn {
    Turn::Begin([Kind::Authorities, Kind::Ssh, Kind::Passwords].into())
}

fn trusted(secrets: &Secrets) -> [usize; 2] {
    AUTHORITIES.map(|file| certificates::count(secrets.file(&format!("{file}.crt")).expose()))
}

/// Names of files that both have, with the same content.
fn kept(before: &Secrets, after: &Secrets) -> Vec<String> {
    let same = |name: &&String| {
        after.files.get(*name).map(Secret::expose) == Some(before.file(name).expose())
    };
    before.files.keys().filter(same).cloned().collect()
}

#[test]
fn everything_is_new_in_the_end_and_nothing_of_before_opens_anything() {
    let lab = Lab::new();
    let first = lab.read();
    let begun = lab.turn(&all());
    assert_eq!((begun.stage(), trusted(&begun)), (Some(Stage::Trusted), [2, 2]));
    assert_eq!((begun.operator_keys().len(), begun.host_keys("node-1").len()), (2, 2));
    let etcd = ["nodes/node-1/etcd.crt", "nodes/node-1/etcd.key", "ca.key"].map(str::to_owned);
    assert!(
        etcd.iter().all(|name| kept(&first, &begun).contains(name)),
        "nobody trusts new ones yet"
    );
    let replaced = lab.turn(&Turn::Replace);
    assert_eq!((replaced.stage(), trusted(&replaced)), (Some(Stage::Replaced), [2, 2]));
    let last = lab.turn(&Turn::Finish);
    assert_eq!((last.stage(), trusted(&last)), (None, [1, 1]));
    assert_eq!((last.operator_keys().len(), last.host_keys("node-1").len()), (1, 1));
    assert_eq!(last.identity(), first.identity(), "it is the same cluster");
    let users = lab.cluster.postgresql.users.iter();
    let own = users.flat_map(|user| [format!("passwords/{user}"), format!("verifiers/{user}")]);
    let own = own.chain([".gitignore", "cluster", "identity"].map(str::to_owned));
    assert_eq!(
        kept(&first, &last).into_iter().collect::<BTreeSet<_>>(),
        own.collect(),
        "only what clients know, and whose cluster it is, stays"
    );
    assert!(!last.files.keys().any(|name| name.starts_with(NEXT) || name.starts_with(PREVIOUS)));
}

#[test]
fn a_turn_that_was_interrupted_is_as_good_as_done() {
    for turn in [all(), Turn::Replace, Turn::Finish] {
        for written in [0, 1, 2, 5, 20, usize::MAX] {
            let lab = Lab::new();
            let before = [all(), Turn::Replace, Turn::Finish].into_iter();
            before.take_while(|earlier| *earlier != turn).for_each(|turn| drop(lab.turn(&turn)));
            let secrets = lab.turned(&turn).expect("secrets");
            secrets.write_some(written);
            let found = lab.read();
            assert_eq!(found.stage(), secrets.stage(), "{turn:?} after {written} files");
            assert_eq!(kept(&secrets, &found).len(), secrets.files.len());
            found.write().expect("written");
            assert!(lab.read().unwritten().is_empty());
        }
    }
}

#[test]
fn what_is_lost_is_named_with_what_makes_it_anew() {
    for (file, words, turn) in [
        ("ca.key", "pgha rotate authorities", Turn::Begin([Kind::Authorities].into())),
        ("nodes/node-2/ssh_host_ed25519_key", "pgha rotate ssh", Turn::Begin([Kind::Ssh].into())),
        ("verifiers/app", "pgha rotate --role app", Turn::BeginPassword("app".to_owned())),
        ("ssh/operator", "pgha destroy", Turn::Begin([Kind::Passwords].into())),
    ] {
        let lab = Lab::new();
        std::fs::remove_file(lab.path().join(file)).expect("lost");
        let running = Lab::running();
        let Err(lost) = Secrets::prepare(&lab.path(), &lab.cluster, &running) else {
            panic!("{file} is not missed");
        };
        let cure = lost.cure().unwrap_or_default();
        assert!(cure.contains(words), "{file}: {cure}");
        assert_eq!(lab.turned(&turn).is_ok(), words != "pgha destroy", "{file}");
    }
    let lab = Lab::new();
    for file in ["ca.crt", "passwords/rest-api", "passwords/pgha_probe", "nodes/node-1/etcd.key"] {
        std::fs::remove_file(lab.path().join(file)).expect("lost");
        assert!(lab.read().unwritten().contains(&file.to_owned()), "{file} is made anew by apply");
    }
}

#[test]
fn a_password_is_kept_before_anybody_is_told_and_again_the_same() {
    let lab = Lab::new();
    let role = || "app".to_owned();
    let first = lab.turn(&Turn::BeginPassword(role()));
    let again = lab.turn(&Turn::BeginPassword(role()));
    assert_eq!(first.next_verifier("app").expose(), again.next_verifier("app").expose());
    assert_eq!(again.stage(), None, "it is no turn of the others");
    let last = lab.turn(&Turn::FinishPassword(role()));
    assert_eq!(last.file("verifiers/app").expose(), again.next_verifier("app").expose());
    assert!(lab.turned(&Turn::FinishPassword(role())).is_err(), "none is to come");
}
