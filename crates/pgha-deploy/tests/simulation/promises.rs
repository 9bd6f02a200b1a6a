//! What pgha must never do, judged by what it could know: the answers it got last.

use std::collections::BTreeSet;

use pgha_core::cluster::Role;

use pgha_core::inventory::Server;

use crate::state::State;
use crate::wish::seed;

/// What one pgha was told last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Nodes whose etcd member answered and had a quorum.
    pub(crate) members: BTreeSet<String>,
    /// Nodes whose PostgreSQL has every row.
    pub(crate) copies: BTreeSet<String>,
    pub(crate) leader: Option<String>,
}

impl State {
    /// Before a node is stopped for something else.
    pub(crate) fn may_stop(&self, name: &str, seen: &Seen) {
        let other = self.busy.values().find(|busy| *busy != name);
        assert_eq!(other, None, "two nodes at once: {name} while another is being replaced");
        let roles = &self.machines[name].roles;
        if roles.has(Role::Etcd) && self.stores(name) {
            let others = seen.members.iter().filter(|member| *member != name).count();
            assert!(
                self.is_quorum(others),
                "{name} was stopped with {others} other members: etcd's quorum is at stake"
            );
        }
        assert!(seen.leader.as_deref() != Some(name), "the leader {name} was stopped");
        if roles.has(Role::Postgres) {
            let others = seen.copies.iter().filter(|copy| *copy != name).count();
            assert!(others > 0 && seen.leader.is_some(), "{name} may have held the last good copy");
        }
    }

    /// Before PostgreSQL's data on a node is deleted.
    pub(crate) fn may_delete(&self, name: &str, seen: &Seen) {
        let whole = seen.copies.iter().any(|copy| copy != name);
        assert!(whole && seen.leader.is_some(), "{name} may have held the last good copy");
        assert!(seen.leader.as_deref() != Some(name), "the data of the leader {name} was deleted");
        assert!(!seen.copies.contains(name), "the good copy of {name} was deleted");
    }

    /// Before the data of an etcd member is deleted.
    pub(crate) fn may_forget(&self, name: &str, seen: &Seen) {
        let others = seen.members.iter().filter(|member| *member != name).count();
        assert!(self.is_quorum(others), "etcd of {name} was to join {others} others again");
        assert!(!seen.members.contains(name), "the good etcd member of {name} was deleted");
    }

    /// Before PostgreSQL of a node is restarted with other parameters: a replica with less than its
    /// leader would stand still.
    pub(crate) fn may_restart(&self, name: &str, seen: &Seen) {
        let with = |name: &str| self.machines[name].runs_with;
        let (now, then) = (with(name), Some(self.max_connections()));
        if self.leads(name) && seen.leader.as_deref() == Some(name) && then > now {
            let behind = self.databases().find(|other| with(other) < then && *other != name);
            assert_eq!(behind, None, "the leader {name} was restarted before it");
        }
    }

    /// What a node is given must be able to read its data.
    pub(crate) fn may_take_over(&self, name: &str, given: &Server) {
        let has = &self.machines[name].server.data;
        assert_eq!(*has, given.data, "{name} was given what would sort its data in another way");
    }

    /// What counts as proven once held a gate there, and what a node goes back to does.
    pub(crate) fn may_go_back(&self, name: &str, given: &Server) {
        let machine = &self.machines[name];
        let stays = given.given == machine.server.given;
        let proven = machine.proven.contains(&given.given);
        assert!(!given.proven || stays || proven, "{name} goes back to what never proved itself");
        let of_node = |version| seed(name, version) == given.given.seed;
        assert!((0..=self.wish.seed).any(of_node), "{name} was given the seed of another node");
    }
}
