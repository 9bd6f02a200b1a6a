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

    fn after_turn(&self, turn: &Turn) -> Result<Secrets, SecretsError> {
        Secrets::after_turn(&self.path(), &self.cluster, &Self::running(), turn)
    }

    /// Writes a turn. What was written needs nothing more.
    fn turn(&self, turn: &Turn) -> Secrets {
        self.after_turn(turn).and_then(|secrets| secrets.write()).expect("written");
        let secrets = self.read();
        assert_eq!(secrets.unwritten(), Vec::<String>::new());
        secrets
    }
}

fn all() -> Turn {
    Turn::Begin([Kind::Authorities, Kind::Ssh, Kind::Passwords].into())
}

fn trusted(secrets: &Secrets) -> [usize; 2] {
    AUTHORITIES.map(|file| secrets.file(&format!("{file}.crt")).expose().matches("BEGIN").count())
}

fn stage(secrets: &Secrets) -> Option<Stage> {
    secrets.rotation().expect("a rotation").map(|rotation| rotation.stage)
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
    assert_eq!((stage(&begun), trusted(&begun)), (Some(Stage::Begun), [2, 2]));
    assert_eq!((begun.operator_keys().len(), begun.host_keys("node-1").len()), (2, 2));
    let etcd = ["nodes/node-1/etcd.crt", "nodes/node-1/etcd.key", "ca.key"].map(str::to_owned);
    assert!(
        etcd.iter().all(|name| kept(&first, &begun).contains(name)),
        "nobody trusts new ones yet"
    );
    let trusting = lab.turn(&Turn::Trust);
    assert_eq!(
        (stage(&trusting), kept(&begun, &trusting).len()),
        (Some(Stage::Trusted), begun.files.len() - 1)
    );
    let replaced = lab.turn(&Turn::Replace);
    assert_eq!((stage(&replaced), trusted(&replaced)), (Some(Stage::Replaced), [2, 2]));
    let finished = lab.turn(&Turn::Finish);
    assert_eq!((stage(&finished), trusted(&finished)), (Some(Stage::Finished), [1, 1]));
    assert!(!finished.unfinished().is_empty(), "nodes do not have it yet");
    let last = lab.turn(&Turn::End);
    assert_eq!((stage(&last), last.unfinished().len()), (None, 0));
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
    for turn in [all(), Turn::Replace, Turn::Finish, Turn::End] {
        for written in [0, 1, 2, 5, 20, usize::MAX] {
            let lab = Lab::new();
            let before = [all(), Turn::Replace, Turn::Finish].into_iter();
            before.take_while(|earlier| *earlier != turn).for_each(|turn| drop(lab.turn(&turn)));
            let secrets = lab.after_turn(&turn).expect("secrets");
            secrets.write_some(written);
            let found = lab.read();
            assert_eq!(stage(&found), stage(&secrets), "{turn:?} after {written} files");
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
        ("verifiers/app", "pgha rotate --role app", Turn::BeginPasswords("app".to_owned())),
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
        assert_eq!(lab.after_turn(&turn).is_ok(), words != "pgha destroy", "{file}");
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
    let first = lab.turn(&Turn::BeginPasswords(role()));
    let again = lab.turn(&Turn::BeginPasswords(role()));
    assert_eq!(first.next_verifier("app").expose(), again.next_verifier("app").expose());
    assert_eq!(stage(&again), None, "it is no turn of the others");
    assert!(again.unfinished()[0].contains("pgha rotate --role app"));
    let last = lab.turn(&Turn::FinishPasswords);
    assert_eq!(last.file("verifiers/app").expose(), again.next_verifier("app").expose());
    assert_eq!(last.next_roles(), Vec::<String>::new());
}

#[test]
fn an_edited_password_is_named_and_given_to_the_role() {
    let lab = Lab::new();
    for file in ["passwords/app", "passwords/pgha_probe"] {
        std::fs::write(lab.path().join(file), "mine\n").expect("edited");
    }
    let said = lab.read().unfinished();
    assert!(said[0].contains("passwords/app was edited") && said[0].contains("rotate --role app"));
    assert_eq!(said.len(), 1, "apply tells PostgreSQL of pgha's own");
    lab.turn(&Turn::BeginPasswords("app".to_owned()));
    let last = lab.turn(&Turn::FinishPasswords);
    assert_eq!(last.file("passwords/app").expose(), "mine");
    assert_eq!(last.unfinished(), Vec::<String>::new());
}

#[test]
fn a_lost_password_does_not_wait_for_a_lost_authority() {
    let lab = Lab::new();
    for file in ["ca.key", "passwords/app"] {
        std::fs::remove_file(lab.path().join(file)).expect("lost");
    }
    let authorities = Turn::Begin([Kind::Authorities].into());
    let Err(lost) = lab.after_turn(&authorities) else { panic!("the password is not missed") };
    assert!(lost.cure().is_some_and(|cure| cure.contains("pgha rotate --role app")));
    for turn in [Turn::BeginPasswords("app".to_owned()), Turn::FinishPasswords] {
        lab.after_turn(&turn).and_then(|secrets| secrets.write()).expect("written");
    }
    lab.turn(&authorities);
}

#[test]
fn what_is_made_anew_fits_together() {
    let lab = Lab::new();
    let before = lab.read();
    std::fs::remove_file(lab.path().join("passwords/pgha_probe")).expect("lost");
    assert!(!kept(&before, &lab.read()).contains(&"verifiers/pgha_probe".to_owned()));
    lab.turn(&all());
    for file in ["next/ca.key", "ca.crt"] {
        std::fs::remove_file(lab.path().join(file)).expect("lost");
        lab.read().write().expect("written");
        assert_eq!(trusted(&lab.read())[0], if file == "ca.crt" { 2 } else { 3 });
    }
    let replaced = lab.turn(&Turn::Replace);
    std::fs::remove_file(lab.path().join("ca.crt")).expect("lost");
    let trust = replaced.file("previous/ca.crt").expose().trim().to_owned();
    let found = lab.read();
    assert!(
        trust.split("-----BEGIN").all(|one| found.file("ca.crt").expose().contains(one.trim()))
    );
}

#[test]
fn where_nobody_can_sign_what_there_is_stays() {
    let lab = Lab::new();
    std::fs::remove_file(lab.path().join("ca.key")).expect("lost");
    let begun = lab.turn(&Turn::Begin([Kind::Authorities].into()));
    let text = FILE.replace("1.13", "1.23");
    let (moved, _) = Cluster::parse(&text).expect("a cluster");
    let secrets = Secrets::prepare(&lab.path(), &moved, &Lab::running()).expect("secrets");
    let name = "nodes/node-3/patroni.crt".to_owned();
    assert!(kept(&begun, &secrets).contains(&name), "an old name is better than none");
    let lab_of_moved = Lab { cluster: moved, ..lab };
    let replaced = lab_of_moved.turn(&Turn::Replace);
    assert!(!kept(&begun, &replaced).contains(&name));
}

#[test]
fn whom_the_file_does_not_know_is_not_missed() {
    let lab = Lab::new();
    std::fs::write(lab.path().join("verifiers/gone"), "SCRAM").expect("written");
    std::fs::write(lab.path().join("passwords/replicator"), "of an older pgha").expect("written");
    let secrets = lab.read();
    assert!(!secrets.files.contains_key("passwords/replicator") && !secrets.remarks().is_empty());
}

#[test]
fn a_node_whose_key_is_lost_proves_itself_with_the_one_it_has() {
    let lab = Lab::new();
    let (key, public) = (host_key("node-2"), format!("{}.pub", host_key("node-2")));
    let known = |secrets: &Secrets| {
        secrets.host_keys("node-2").iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()
    };
    let first = known(&lab.read());
    std::fs::remove_file(lab.path().join(&key)).expect("lost");
    lab.read().write().expect("written");
    assert_eq!(known(&lab.read())[..1], first[..]);
    assert_eq!(stage(&lab.read()), Some(Stage::Begun), "`rotate` forgets the old one");
    let second = known(&lab.turn(&all()));
    assert!(first.iter().all(|key| second.contains(key)) && second.len() == 3);
    std::fs::remove_file(lab.path().join(&key)).expect("lost again");
    lab.read().write().expect("written");
    let third = known(&lab.read());
    assert!(second.iter().all(|key| third.contains(key)), "whichever it has");
    assert!(lab.read().file(&public).expose().trim() == third[third.len() - 1]);
    std::fs::remove_file(lab.path().join(OPERATOR)).expect("lost");
    assert!(Secrets::prepare(&lab.path(), &lab.cluster, &Lab::running()).is_err());
    assert!(lab.after_turn(&Turn::Begin([Kind::Ssh].into())).is_err(), "nobody would get in");
}

#[test]
fn a_rotation_whose_file_is_lost_is_known_by_its_traces() {
    let lab = Lab::new();
    lab.turn(&all());
    let lose = || std::fs::remove_file(lab.path().join(super::FILE)).expect("lost");
    lose();
    let found = lab.read().rotation().expect("a rotation").expect("one");
    assert_eq!((found.stage, found.names()), (Stage::Begun, "authorities, ssh".to_owned()));
    let keys = lab.read().operator_keys().join("");
    let again = lab.turn(&all());
    assert_eq!(again.operator_keys().join(""), keys, "what nodes know is not thrown away");
    lab.turn(&Turn::Replace);
    lose();
    assert_eq!(stage(&lab.read()), Some(Stage::Replaced));
}

#[test]
fn a_kind_may_join_and_every_lost_password_is_made_anew_at_once() {
    let lab = Lab::new();
    lab.turn(&Turn::Begin([Kind::Ssh].into()));
    std::fs::remove_file(lab.path().join("ca.key")).expect("lost");
    let joined = lab.turn(&Turn::Begin([Kind::Authorities].into()));
    let rotation = joined.rotation().expect("a rotation").expect("one");
    assert_eq!(
        (rotation.names(), joined.operator_keys().len()),
        ("authorities, ssh".to_owned(), 2)
    );

    let text =
        format!("{FILE}\n[postgresql]\nusers = [{{ name = \"app\" }}, {{ name = \"other\" }}]\n");
    let (cluster, _) = Cluster::parse(&text).expect("a cluster");
    let lab = Lab { dir: tempfile::tempdir().expect("a directory"), cluster };
    Secrets::prepare(&lab.path(), &lab.cluster, &[]).expect("secrets").write().expect("written");
    for role in ["app", "other"] {
        std::fs::remove_file(lab.path().join(format!("passwords/{role}"))).expect("lost");
    }
    let begun = lab.turn(&Turn::BeginPasswords("app".to_owned()));
    assert_eq!(begun.next_roles(), ["app", "other"]);
    assert_eq!(lab.turn(&Turn::FinishPasswords).next_roles(), Vec::<String>::new());
}
