//! Every situation of a cluster has a golden plan in `tests/plans`. `PGHA_BLESS=1 cargo test`
//! rewrites them; read the diff.

mod case;

use std::collections::BTreeSet;
use std::path::Path;

use case::{
    Case, data, digest, edit_etcd, given, lost, names, off, old, pending, text, unproven, unwell,
};
use pgha_core::inventory::Inventory;
use pgha_core::plan::{Plan, Refused, plan, plan_again, plan_destroy, plan_rollback};
use pgha_core::{Digest, Object};
use serde_json::json;

const THREE: &str = include_str!("../../../../tests/clusters/minimal.toml");
const ROUTED: &str = include_str!("../../../../tests/clusters/dedicated-haproxy.toml");
const FIVE: &str = include_str!("../../../../tests/clusters/five-strict.toml");

/// What people read, and what programs do.
fn golden(name: &str, result: Result<Plan, Refused>) {
    if let Ok(plan) = &result {
        let json = serde_json::to_string_pretty(&plan).expect("JSON") + "\n";
        same(name, "json", &json.replace(plan.fingerprint.as_str(), "<fingerprint>"));
    }
    same(name, "txt", &text(result));
}

fn same(name: &str, extension: &str, said: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/plans")
        .join(name)
        .with_extension(extension);
    if std::env::var_os("PGHA_BLESS").is_some() {
        std::fs::write(&path, said).expect("written");
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        said,
        "{} differs",
        path.display()
    );
}

macro_rules! cases {
    ($($name:ident: $case:expr),+ $(,)?) => { $(
        #[test]
        fn $name() {
            let case: Case = $case;
            let planned = plan(&case.desired(), &case.world);
            golden(&stringify!($name).replace('_', "-"), planned.map(|plan| case.without_values(plan)));
        }
    )+ };
}

mod copies;
mod forming;

cases! {
    nothing_to_do: Case::new(THREE),
    certificates_ended: Case::new(THREE).with(|world| {
        for server in &mut world.servers {
            (server.expired, server.given.seed) = (true, digest("old").compared());
        }
        world.servers[2].running = false;
        world.observed = Some(Default::default());
    }),
    certificates_ended_and_another_image: Case::new(THREE).with(|world| {
        for server in &mut world.servers {
            (server.expired, server.given) = (true, given("before", "old"));
        }
        world.observed = Some(Default::default());
    }),
    pools_of_transactions_are_held: Case::new(ROUTED).with(old(&[2])).observed(|observed| {
        observed.leader = Some("store-1".to_owned());
    }),
    a_switchover_drops_slots: Case::new(THREE).with(old(&[0])).observed(|observed| {
        observed.slots = vec!["dbz".to_owned()];
    }),
    paused_and_unmet: Case::new(THREE).with(|world| {
        world.servers.iter_mut().for_each(|server| server.dynamic = Some(digest("before")));
        let observed = world.observed.as_mut().expect("observed");
        edit_etcd(observed, |json| json["pause"] = json!(true));
        (observed.paused, observed.unmet) = (true, vec!["1 of 2 replicas streaming".to_owned()]);
    }),
    durability_given_up_in_an_emergency: Case::new(THREE).with(|world| {
        world.servers.iter_mut().for_each(|server| server.dynamic = Some(digest("before")));
        let observed = world.observed.as_mut().expect("observed");
        edit_etcd(observed, |json| json["synchronous_mode"] = json!(false));
        (observed.lost, observed.sick) = (names(&["node-2"]), names(&["node-2"]));
        observed.unmet = vec!["1 of 2 replicas streaming".to_owned()];
    }),
    not_in_force_everywhere: Case::new(THREE).observed(|observed| {
        observed.untaken = [("node-2".to_owned(), names(&["work_mem is not 16MB"]))].into();
        observed.unmet = names(&["node-2: work_mem is not 16MB"]);
    }),
    not_in_force_everywhere_and_changed: Case::new(THREE).parameter("work_mem", json!("20MB")).observed(|observed| {
        let much = names(&["line 9 of pg_hba.conf is not wanted: host all all all trust", "a", "b", "c"]);
        observed.untaken = [("node-2".to_owned(), much)].into();
        observed.unmet = names(&["node-2: and so on"]);
    }),
    clients_miss_what_the_change_brings: Case::new(THREE).parameter("work_mem", json!("20MB")).observed(|observed| {
        observed.unmet = vec!["sessions at 0 of 12 doors".to_owned()];
    }),
    hung_replicas: Case::new(THREE).observed(|observed| {
        observed.hung = vec!["node-2".to_owned(), "node-3".to_owned()];
        observed.unmet = vec!["0 of 2 replicas streaming".to_owned()];
    }),
    a_leader_and_a_replica_hang: Case::new(THREE).observed(|observed| {
        observed.hung = names(&["node-1", "node-2"]);
        observed.unmet = names(&["0 of 2 replicas streaming"]);
    }),
    hung_by_what_was_never_proven: Case::new(THREE).parameter("work_mem", json!("20MB")).with(|world| {
        world.servers.iter_mut().for_each(|server| server.dynamic = Some(digest("before")));
        let observed = world.observed.as_mut().expect("observed");
        observed.hung = vec!["node-2".to_owned()];
        observed.unmet = vec!["1 of 2 replicas streaming".to_owned()];
    }),
    degraded_with_what_was_proven: Case::new(THREE).parameter("work_mem", json!("20MB")).with(|world| {
        let observed = world.observed.as_mut().expect("observed");
        let digest = observed.dynamic.as_ref().expect("a configuration").digest();
        world.servers.iter_mut().for_each(|server| server.dynamic = Some(digest.clone()));
        observed.unmet = vec!["1 of 2 replicas streaming".to_owned()];
    }),
    units_are_stopped: Case::new(THREE).observed(|observed| {
        let units = |node: &str, units: &[&str]| (node.to_owned(), names(units));
        observed.idle = [units("node-1", &["pgha-guard.service", "pgha-pooler-primary.service"]), units("node-2", &["patroni.service"])].into();
        observed.leader = None;
        observed.unmet = names(&["units run on 1 of 3 nodes"]);
    }),
    units_are_stopped_and_patroni_is_paused: Case::new(THREE).observed(|observed| {
        observed.idle = [("node-2".to_owned(), names(&["patroni.service"]))].into();
        observed.paused = true;
    }),
    nodes_are_altered: Case::new(THREE).observed(|observed| {
        let file = names(&["file /etc/pgha/haproxy.cfg: FAILED"]);
        observed.altered = [("node-1".to_owned(), file.clone()), ("node-3".to_owned(), file)].into();
        observed.sick = names(&["node-1", "node-3"]);
        observed.unmet = names(&["2 of 3 HAProxy route", "node-1: and so on", "node-3: and so on"]);
    }),
    the_leader_is_altered: Case::new(THREE).observed(|observed| {
        observed.altered = [("node-1".to_owned(), names(&["the firewall table inet pgha is not loaded"]))].into();
        observed.unmet = names(&["node-1: and so on"]);
    }),
    etcd_is_full: Case::new(THREE).observed(|observed| {
        observed.etcd_is_full = true;
        observed.unmet = vec!["etcd takes no writes: alarm NOSPACE".to_owned()];
    }),
    own_role_gone_and_degraded: Case::new(THREE).observed(|observed| {
        observed.objects.as_mut().expect("objects").remove(&Object::Probe);
        observed.unmet = vec!["sessions at 0 of 12 doors".to_owned()];
    }),
    one_replica_outdated: Case::new(THREE).with(old(&[1])),
    all_outdated: Case::new(THREE).with(old(&[0, 1, 2])),
    only_leader_outdated: Case::new(THREE).with(old(&[0])),
    five_nodes: Case::new(FIVE).with(old(&[0, 1, 2, 3, 4])),
    seed_change: Case::new(THREE).with(|world| world.servers.iter_mut().for_each(|server| server.given.seed = digest("old seed").compared())),
    dynamic_reload: Case::new(THREE).parameter("work_mem", json!("64MB")),
    dynamic_restart: Case::new(THREE).parameter("shared_buffers", json!("1GB")),
    dynamic_shrink: Case::new(THREE).parameter("max_connections", json!(100)),
    image_and_dynamic: Case::new(THREE).with(old(&[0, 1, 2])).parameter("max_connections", json!(800)),
    a_part_of_the_dynamic_configuration_comes_first: Case::new(THREE).with(old(&[0])).parameter("max_connections", json!(800))
        .parameter("work_mem", json!("20MB")).observed(|observed| {
            edit_etcd(observed, |json| json["postgresql"]["pg_hba"] = json!(["host all all all reject"]));
        }),
    larger_pools_wait_for_restarts: Case::new(THREE).with(old(&[0, 1, 2])).observed(|observed| {
        observed.pending = pending(&["node-1", "node-2", "node-3"], "700", "800");
        edit_etcd(observed, |json| json["postgresql"]["parameters"]["max_connections"] = json!(800));
    }).parameter("max_connections", json!(800)),
    interrupted_half_way: Case::new(THREE).with(old(&[0, 1])),
    all_off: Case::new(THREE).with(|world| {
        world.servers.iter_mut().for_each(|server| server.running = false);
        world.observed = None;
    }),
    one_off_and_outdated: Case::new(THREE).with(old(&[0, 2])).with(off(2)).observed(lost(&["node-3"])),
    one_off_and_unproven: Case::new(THREE).with(unproven(2)).with(off(2)).observed(lost(&["node-3"])),
    one_off_and_another_sick: Case::new(THREE).with(old(&[0, 2])).with(off(2)).observed(lost(&["node-2", "node-3"])),
    power_lost_where_some_only_route: Case::new(ROUTED).with(unproven(1)).with(|world| {
        world.servers.iter_mut().filter(|s| s.name.starts_with("store")).for_each(|s| s.running = false);
    }).observed(|observed| {
        (observed.leader, observed.dynamic, observed.objects) = (None, None, None);
        observed.lost = names(&["store-1", "store-2", "store-3"]);
        observed.sick = observed.lost.clone();
    }),
    one_off_and_the_rest_to_be_cured: Case::new(THREE).with(old(&[0, 1])).with(off(2)).observed(|observed| {
        observed.sick = names(&["node-1", "node-2", "node-3"]);
        observed.lost = names(&["node-3"]);
    }),
    who_may_connect_comes_before_nodes: Case::new(THREE).with(old(&[0, 1, 2])).observed(|observed| {
        edit_etcd(observed, |json| {
            json["postgresql"].as_object_mut().expect("keys").remove("pg_ident");
            json["postgresql"]["pg_hba"] = json!(["host all all all reject"]);
        });
    }),
    no_dynamic: Case::new(THREE).with(old(&[1])).observed(|observed| observed.dynamic = None),
    degraded: Case::new(THREE).with(old(&[0, 1, 2])).observed(|observed| {
        observed.unmet = vec!["etcd 2 of 3 with 1 leader".to_owned(), "1 of 2 replicas streaming".to_owned()];
    }).observed(lost(&["node-2", "node-3"])),
    services_down_everywhere: Case::new(THREE).with(old(&[0, 1, 2])).observed(|observed| {
        observed.unmet = vec!["units run on 0 of 3 nodes".to_owned(), "0 of 3 HAProxy route".to_owned()];
        observed.sick = names(&["node-1", "node-2", "node-3"]);
    }),
    services_down_on_one_that_does_not_change: Case::new(THREE).with(old(&[0, 1])).observed(|observed| {
        observed.unmet = vec!["2 of 3 HAProxy route".to_owned()];
        observed.sick = names(&["node-3"]);
    }),
    unproven_and_well: Case::new(THREE).with(unproven(1)),
    unproven_and_sick: Case::new(THREE).with(unproven(1)).with(old(&[0])).observed(unwell).observed(lost(&["node-2"])),
    cure_of_services_interrupted: Case::new(THREE).with(unproven(1)).with(old(&[0, 2])).observed(|observed| {
        observed.unmet = vec!["1 of 3 HAProxy route".to_owned()];
        observed.sick = names(&["node-1", "node-3"]);
    }),
    unproven_and_more_to_do: Case::new(THREE).with(unproven(1)).with(old(&[0, 2])),
    unproven_and_outdated: Case::new(THREE).with(unproven(1)).with(old(&[0, 1, 2])).observed(unwell).observed(lost(&["node-2"])),
    paused: Case::new(THREE).with(old(&[1])).observed(|observed| observed.paused = true),
    reload_while_restarts_wait: Case::new(THREE).parameter("work_mem", json!("64MB"))
        .observed(|observed| observed.pending = pending(&["node-2", "node-3"], "700", "800")),
    nobody_starts: Case::new(THREE).observed(|observed| {
        observed.leader = None;
        observed.unmet = vec!["no leader".to_owned()];
        observed.stuck = vec!["node-1".to_owned(), "node-2".to_owned()];
    }),
    dynamic_with_which_nobody_starts: Case::new(THREE).parameter("shared_preload_libraries", json!("auto_explain")).with(old(&[0])).observed(|observed| {
        observed.leader = None;
        observed.unmet = vec!["no leader".to_owned()];
        observed.sick = names(&["node-1", "node-2", "node-3"]);
        observed.lost = observed.sick.clone();
        observed.stuck = vec!["node-1".to_owned(), "node-2".to_owned()];
    }),
    sick_node_is_outdated: Case::new(THREE).with(old(&[0, 2])).observed(unwell).observed(lost(&["node-3"])),
    leader_is_the_only_healthy: Case::new(THREE).with(old(&[0])).observed(|observed| {
        observed.unmet = vec!["0 of 2 replicas streaming".to_owned()];
    }).observed(lost(&["node-2", "node-3"])),
    no_leader: Case::new(THREE).with(old(&[1])).observed(|observed| observed.leader = None),
    node_left_the_file: Case::new(THREE).with(|world| world.servers[2].name = "node-9".to_owned()),
    role_changed: Case::new(THREE).with(|world| world.servers[1].roles = Some("postgres".to_owned())),
    ttl_raised: Case::new(THREE).with(old(&[1])).observed(|observed| {
        edit_etcd(observed, |json| json["ttl"] = json!(20));
    }),
    address_changed: Case::new(THREE).with(|world| world.servers[1].address = [10, 0, 0, 9].into()),
    another_postgresql: Case::new(THREE).with(old(&[0, 1, 2])).with(|world| world.servers[1].data = Some(data(16, "libc6-2.41"))),
    another_collation: Case::new(THREE).with(old(&[0, 1, 2])).with(|world| world.servers[1].data = Some(data(17, "libc6-2.36"))),
    another_collation_and_off: Case::new(THREE).with(old(&[1])).with(|world| {
        world.servers[1].data = Some(data(17, "libc6-2.36"));
        world.servers[1].running = false;
    }),
    strict_comes_with_a_higher_ttl: Case::new(FIVE).with(old(&[0])).observed(|observed| {
        edit_etcd(observed, |json| {
            (json["ttl"], json["synchronous_mode"]) = (json!(20), json!("quorum"));
        });
    }),
    grows_beside_what_was_never_taken_up: Case::new(THREE).parameter("max_connections", json!(200)).observed(|observed| {
        edit_etcd(observed, |json| {
            json["postgresql"]["parameters"]["max_connections"] = json!(9999);
        });
        observed.pending = pending(&["node-1", "node-2", "node-3"], "100", "9999");
    }),
    restart_interrupted: Case::new(THREE).observed(|observed| observed.pending = pending(&["node-2", "node-3"], "200", "100")),
    objects_missing: Case::new(THREE).observed(|observed| {
        let owner = Object::Owner { database: "app".to_owned(), role: "old".to_owned() };
        let named = |name: &str| name.to_owned();
        observed.objects = Some(BTreeSet::from([
            Object::Role(named("app")),
            Object::Role(named("old")),
            Object::Database(named("app")),
            Object::Database(named("test")),
            owner,
        ]));
    }),
    leftovers: Case::new(THREE).with(|world| {
        world.leftovers = vec!["directory /var/lib/pgha/demo/nodes/node-9".to_owned()];
        world.observed.as_mut().expect("observed").objects = None;
    }),
    node_lost: Case::new(THREE).with(|world| drop(world.servers.pop())),
}

#[test]
fn rollback() {
    let case = Case::new(THREE).with(|world| {
        world
            .servers
            .iter_mut()
            .for_each(|server| server.previous = Some(given("old image", "seed")))
    });
    golden("rollback", plan_rollback(&case.desired(), &case.world));
    let partial = case.with(|world| world.servers[2].generation = 1);
    golden("rollback-of-a-partial-roll", plan_rollback(&partial.desired(), &partial.world));
    let finished = Case::new(THREE).with(|world| world.servers[2].undone = 1);
    golden("rollback-of-what-is-undone", plan_rollback(&finished.desired(), &finished.world));
    let stopped = partial.with(|world| world.servers[2].running = false);
    golden("rollback-interrupted", plan_rollback(&stopped.desired(), &stopped.world));
    let fresh = Case::new(THREE);
    golden("rollback-to-nothing", plan_rollback(&fresh.desired(), &fresh.world));
}

#[test]
fn an_image_is_missing() {
    let case = Case::new(THREE);
    let mut desired = case.desired();
    desired.images.remove("node-2");
    golden("an-image-is-missing", plan(&desired, &case.world));
}

#[test]
fn again() {
    let case = Case::new(THREE);
    golden("again", plan_again(&case.desired(), &case.world));
    let outdated = Case::new(THREE).with(old(&[1]));
    golden("again-while-outdated", plan_again(&outdated.desired(), &outdated.world));
}

#[test]
fn destroy() {
    golden("destroy", Ok(plan_destroy("minimal", &Case::new(THREE).world)));
}

#[test]
fn an_interrupted_roll_goes_on_under_its_number() {
    let generation = |case: &Case| plan(&case.desired(), &case.world).expect("a plan").generation;
    let wish = Case::new(THREE).desired().wish();
    let half = |wish: Digest| {
        move |world: &mut Inventory| {
            (world.servers[2].generation, world.servers[2].wish) = (4, Some(wish))
        }
    };
    assert_eq!(generation(&Case::new(THREE).with(old(&[0, 1])).with(half(wish))), 4);
    assert_eq!(generation(&Case::new(THREE).with(old(&[0, 1])).with(half(digest("another")))), 5);
    let undone = |world: &mut Inventory| world.servers[2].undone = 4;
    assert_eq!(generation(&Case::new(THREE).with(old(&[0, 1])).with(undone)), 5);
}

#[test]
fn a_changed_leader_changes_the_fingerprint() {
    let fingerprint = |case: &Case| plan(&case.desired(), &case.world).expect("a plan").fingerprint;
    let (one, other) = (
        Case::new(THREE),
        Case::new(THREE).observed(|observed| observed.leader = Some("node-2".to_owned())),
    );
    assert_ne!(fingerprint(&one), fingerprint(&other));
    assert_eq!(fingerprint(&one), fingerprint(&Case::new(THREE)));
}
