//! A wish, a world that fits it, and ways to make it unfit.

use std::collections::BTreeMap;

use pgha_core::inventory::{Given, Inventory, Observed, Pending, Server};
use pgha_core::object::declared;
use pgha_core::plan::{Action, Desired, Plan, Refused};
use pgha_core::{Cluster, DataFormat, Digest, Dynamic, render};
use serde_json::{Value, json};

/// A wish and a world that fits it: every server runs the wanted image, healthy, the first node
/// leads.
pub(crate) struct Case {
    pub(crate) cluster: Cluster,
    pub(crate) dynamic: Dynamic,
    pub(crate) world: Inventory,
}

pub(crate) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

pub(crate) fn given(image: &str, seed: &str) -> Given {
    Given { image: digest(image).compared(), seed: digest(seed).compared() }
}

pub(crate) fn data(postgresql: u16, collations: &str) -> DataFormat {
    DataFormat { postgresql, collations: collations.to_owned() }
}

impl Case {
    pub(crate) fn new(text: &str) -> Self {
        let (cluster, _) = Cluster::parse(text).expect("a valid cluster");
        let dynamic = render::render(&cluster).expect("a rendering").dynamic;
        let servers = cluster.nodes.iter().map(|node| Server {
            name: node.name.clone(),
            running: true,
            address: node.address,
            generation: 0,
            undone: 0,
            proven: true,
            wish: None,
            dynamic: None,
            certificates_end: None,
            expired: false,
            roles: Some(node.role_set.to_string()),
            since: None,
            data: Some(data(17, "libc6-2.41")),
            given: given("image", "seed"),
            previous: None,
            formed: true,
            identity: None,
        });
        let observed = Observed {
            leader: Some(cluster.nodes[0].name.clone()),
            dynamic: Some(dynamic.clone()),
            objects: Some(declared(&cluster).into_iter().collect()),
            ..Observed::default()
        };
        let world = Inventory {
            servers: servers.collect(),
            observed: Some(observed),
            ..Inventory::default()
        };
        Self { cluster, dynamic, world }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Inventory)) -> Self {
        change(&mut self.world);
        self
    }

    pub(crate) fn observed(self, change: impl FnOnce(&mut Observed)) -> Self {
        self.with(|world| change(world.observed.as_mut().expect("observed")))
    }

    pub(crate) fn parameter(mut self, name: &str, value: Value) -> Self {
        edit(&mut self.dynamic, |json| json["postgresql"]["parameters"][name] = value);
        self
    }

    /// What is written last is the wanted dynamic configuration, which has golden files of its own.
    pub(crate) fn without_values(&self, mut plan: Plan) -> Plan {
        let sets = plan.steps.iter_mut().filter_map(|step| match &mut step.action {
            Action::SetDynamic { values, .. } => Some(values),
            _ => None,
        });
        let is_wanted = sets.map(|values| {
            let is_wanted = *values == self.dynamic;
            *values = json!(if is_wanted { "<as wanted>" } else { "<a part>" }).into();
            is_wanted
        });
        assert_ne!(is_wanted.last(), Some(false));
        plan
    }

    pub(crate) fn desired(&self) -> Desired<'_> {
        let all = |text: &str| {
            self.cluster
                .nodes
                .iter()
                .map(|node| (node.name.clone(), digest(text)))
                .collect::<BTreeMap<_, _>>()
        };
        let data = self
            .cluster
            .nodes
            .iter()
            .map(|node| (node.name.clone(), data(17, "libc6-2.41")))
            .collect();
        Desired {
            cluster: &self.cluster,
            images: all("image"),
            seeds: all("seed"),
            data,
            dynamic: &self.dynamic,
        }
    }
}

/// Changes what is in etcd.
pub(crate) fn edit_etcd(observed: &mut Observed, change: impl FnOnce(&mut Value)) {
    edit(observed.dynamic.as_mut().expect("a configuration"), change);
}

fn edit(dynamic: &mut Dynamic, change: impl FnOnce(&mut Value)) {
    let mut json = dynamic.json().clone();
    change(&mut json);
    *dynamic = json.into();
}

pub(crate) fn pending(nodes: &[&str], old: &str, new: &str) -> Vec<Pending> {
    let one = |node: &&str| Pending {
        node: (*node).to_owned(),
        parameter: "max_connections".to_owned(),
        old: old.to_owned(),
        new: new.to_owned(),
    };
    nodes.iter().map(one).collect()
}

pub(crate) fn old(names: &[usize]) -> impl FnOnce(&mut Inventory) {
    let names = names.to_vec();
    move |world| {
        names
            .iter()
            .for_each(|index| world.servers[*index].given.image = digest("old image").compared())
    }
}

pub(crate) fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn lost(nodes: &'static [&'static str]) -> impl FnOnce(&mut Observed) {
    move |observed| (observed.sick, observed.lost) = (names(nodes), names(nodes))
}

pub(crate) fn unwell(observed: &mut Observed) {
    observed.unmet = vec!["1 of 2 replicas streaming".to_owned()];
}

pub(crate) fn off(index: usize) -> impl FnOnce(&mut Inventory) {
    move |world| world.servers[index].running = false
}

pub(crate) fn unproven(index: usize) -> impl FnOnce(&mut Inventory) {
    move |world| {
        world.servers[index].proven = false;
        world.servers[index].previous = Some(given("old image", "seed"));
    }
}

pub(crate) fn text(result: Result<Plan, Refused>) -> String {
    match result {
        // Fingerprints change with every default; the steps are what matters.
        Ok(plan) => plan.to_string().replace(plan.fingerprint.short(), "<fingerprint>"),
        Err(refused) => format!(
            "refused: {refused}\n{}\n",
            serde_json::to_string_pretty(&refused).expect("JSON")
        ),
    }
}
