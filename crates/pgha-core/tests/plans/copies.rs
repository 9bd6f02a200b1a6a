//! Copies that do not become whole by waiting.

use pgha_core::inventory::{Ailment, Inventory};
use pgha_core::plan::plan;

use crate::case::{Case, old, unproven};
use crate::{THREE, golden};

/// The copies of these nodes ail.
fn ailing(nodes: &[(&str, Ailment)]) -> impl FnOnce(&mut Inventory) {
    let nodes = nodes.iter().map(|(node, ailment)| ((*node).to_owned(), ailment.clone()));
    let nodes = nodes.collect::<Vec<_>>();
    move |world| {
        let observed = world.observed.as_mut().expect("observed");
        observed.lost.extend(nodes.iter().map(|(node, _)| node.clone()));
        observed.sick.clone_from(&observed.lost);
        observed.unmet.push(format!("{} of 2 replicas streaming", 2 - nodes.len()));
        observed.ailing.extend(nodes);
    }
}

fn etcd_lost(node: &'static str) -> impl FnOnce(&mut Inventory) {
    move |world| {
        let observed = world.observed.as_mut().expect("observed");
        observed.etcd_lost = Some(node.to_owned());
        observed.lost.retain(|lost| lost != node);
        observed.lost.push(node.to_owned());
        observed.sick.clone_from(&observed.lost);
        observed.unmet.push("etcd 2 of 3 with 1 leader".to_owned());
    }
}

fn copied(node: &'static str) -> impl FnOnce(&mut Inventory) {
    move |world| {
        let observed = world.observed.as_mut().expect("observed");
        observed.copying.push(node.to_owned());
        observed.lost.push(node.to_owned());
        observed.sick.clone_from(&observed.lost);
        observed.unmet.push("1 of 2 replicas streaming".to_owned());
    }
}

fn damaged() -> Ailment {
    Ailment::Damaged("invalid checkpoint record".to_owned())
}

cases! {
    one_is_stuck: Case::new(THREE).with(ailing(&[("node-2", Ailment::Leftover)])),
    one_is_damaged: Case::new(THREE).with(ailing(&[("node-2", damaged())])),
    two_are_damaged: Case::new(THREE).with(ailing(&[("node-2", damaged()), ("node-3", damaged())])),
    one_is_copied: Case::new(THREE).with(copied("node-3")).with(old(&[0, 1])),
    one_is_copied_while_another_is_damaged: Case::new(THREE).with(ailing(&[("node-2", damaged())])).with(copied("node-3")),
    one_fails: Case::new(THREE).with(ailing(&[("node-2", Ailment::Failing("out of memory".to_owned()))])),
    one_is_damaged_and_unproven: Case::new(THREE).with(ailing(&[("node-2", damaged())])).with(unproven(1)),
    one_is_silent: Case::new(THREE).with(ailing(&[("node-2", Ailment::Silent)])).with(old(&[0, 1])),
    one_is_silent_while_another_is_unproven: Case::new(THREE).with(ailing(&[("node-2", Ailment::Silent)])).with(old(&[0, 1])).with(unproven(2)),
    the_leader_is_silent: Case::new(THREE).with(ailing(&[("node-1", Ailment::Silent)])),
    two_are_silent: Case::new(THREE).with(ailing(&[("node-2", Ailment::Silent), ("node-3", Ailment::Silent)])),
    one_fails_where_etcd_lost_its_data: Case::new(THREE).with(ailing(&[("node-2", Ailment::Failing("out of memory".to_owned()))])).with(etcd_lost("node-3")),
    one_is_full: Case::new(THREE).with(ailing(&[("node-2", Ailment::Full)])),
    one_is_damaged_and_outdated: Case::new(THREE).with(ailing(&[("node-2", damaged())])).with(old(&[1])),
    the_rest_is_behind: Case::new(THREE).with(ailing(&[("node-2", Ailment::Behind), ("node-3", Ailment::Behind)])).with(old(&[0, 1])),
    etcd_lost_its_data: Case::new(THREE).with(etcd_lost("node-3")),
    etcd_lost_its_data_on_the_leader: Case::new(THREE).with(etcd_lost("node-1")),
    etcd_lost_its_data_where_a_copy_is_damaged: Case::new(THREE).with(ailing(&[("node-2", damaged())])).with(etcd_lost("node-3")),
    a_whole_volume_is_lost: Case::new(THREE).with(ailing(&[("node-3", damaged())])).with(etcd_lost("node-3")),
    etcd_lost_its_data_before_a_roll: Case::new(THREE).with(etcd_lost("node-3")).with(old(&[0, 2])),
}
