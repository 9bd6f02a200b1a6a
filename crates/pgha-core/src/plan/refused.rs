//! Why there is no plan. The program says what helps, because it knows its commands.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::inventory::Ailment;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words of each say what its fields are")]
pub enum Refused {
    /// A manifest of another cluster file has images for other roles.
    #[error("no image has the roles of `{node}`, which are {roles}")]
    NoImage { node: String, roles: String },
    #[error("`{node}` is running but no longer in the cluster file")]
    NotInFile { node: String },
    #[error("`{node}` has the address {has}, but the cluster file says {wanted}")]
    OtherAddress { node: String, has: String, wanted: String },
    #[error("`{node}` was made for the roles {has}, but the cluster file says {wanted}")]
    OtherRoles { node: String, has: String, wanted: String },
    #[error(
        "`{node}` was started with another image or seed, and the cluster has never been healthy, but may hold data"
    )]
    BegunOtherwise { node: String },
    #[error("node `{node}` is in the file, but the cluster was formed without it or has lost it")]
    Lost { node: String },
    #[error("Patroni is paused: a person has taken over")]
    Paused,
    #[error("no Patroni returned the dynamic configuration")]
    DynamicUntold,
    #[error("no node leads: PostgreSQL of {} does not start", nodes.join(", "))]
    LeaderStuck { nodes: Vec<String> },
    #[error("no node says that it is the leader")]
    NoLeader,
    #[error("the leader is the only PostgreSQL node")]
    LoneLeader,
    /// `begun`: there is also a roll to go on with.
    #[error("the cluster is not healthy: {}{}", unmet.join("; "), look_at(sick))]
    NotHealthy { unmet: Vec<String>, sick: Vec<String>, begun: bool },
    #[error("the dynamic configuration is not in force everywhere: {}", each(untaken, |said| said.join("; ")))]
    NotInForce { untaken: BTreeMap<String, Vec<String>> },
    #[error("the last roll is undone")]
    Undone,
    #[error("the nodes have nothing older to go back to")]
    NothingOlder,
    #[error("`{node}` is off or not what the cluster file says")]
    NotCurrent { node: String },
    #[error("`{node}` has data of PostgreSQL {has}, its new image brings {brings}")]
    OtherPostgresql { node: String, has: u16, brings: u16 },
    #[error(
        "`{node}` has indexes sorted by {has}, its new image sorts by {brings}: where a collation of theirs is used, rows would be missed"
    )]
    OtherCollations { node: String, has: String, brings: String },
    /// `image`: what it runs.
    #[error("the certificates of `{node}` have ended, and it is to have another image, too")]
    EndedAndOutdated { node: String, image: Digest },
    #[error("{}", silent(nodes))]
    Silent { nodes: Vec<String> },
    #[error("the data volume of {} is full: its copy is not whole", nodes.join(", "))]
    Full { nodes: Vec<String> },
    #[error(
        "PostgreSQL does not start, and nothing is deleted for that: {}",
        each(ailing, ToString::to_string)
    )]
    Ailing { ailing: BTreeMap<String, Ailment> },
}

fn look_at(sick: &[String]) -> String {
    if sick.is_empty() { String::new() } else { format!(" (look at {})", sick.join(", ")) }
}

fn silent(nodes: &[String]) -> String {
    let said = nodes.iter().map(|node| format!("`{node}` runs, and does not answer"));
    said.collect::<Vec<_>>().join("; ")
}

fn each<T>(nodes: &BTreeMap<String, T>, say: impl Fn(&T) -> String) -> String {
    let said = nodes.iter().map(|(node, what)| format!("`{node}`: {}", say(what)));
    said.collect::<Vec<_>>().join("; ")
}
