//! The resources of a cluster against the fake: whatever is interrupted, doing it again gives the same.

mod project;

use std::time::Duration;

use hcloud::models::{CreateNetworkRequest, CreateServerRequest, CreateSshKeyRequest};
use hetzner_fake::{Fault, Refusal, Trouble};
use pgha_hetzner::SiteError;
use pgha_hetzner::model::Status;
use project::{KEY, api, destroy, project, seen, site, story, until_done};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[tokio::test]
async fn a_cluster_comes_into_being_and_goes_and_nothing_else_is_touched() {
    let fake = project().await;
    let before = seen(&fake).await;
    story(&fake).await.expect("three servers");
    let servers = site(&fake).servers().await.expect("servers");
    assert!(servers.len() == 3 && servers.iter().all(|server| server.status == Status::Running));
    let there = seen(&fake).await;
    let node = there.iter().find(|line| line.starts_with("server demo-node-2")).expect("node-2");
    assert!(
        node.contains("10.84.0.12") && node.contains("another seed") && node.contains("image-b"),
        "{node}"
    );
    assert!(!node.contains("next-image") && node.contains("1 volumes"), "{node}");
    destroy(&fake).await.expect("nothing");
    assert_eq!(seen(&fake).await, before);
    assert!(api(&fake).snapshots("pgha/cluster").await.expect("snapshots").is_empty());
    destroy(&fake).await.expect("to destroy what is gone is no error");
}

/// Every request, interrupted before and after its effect, by a proxy, and refused for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_interrupted_the_end_is_the_same() {
    let fake = project().await;
    let before = seen(&fake).await;
    let began = fake.requests().len();
    story(&fake).await.expect("three servers");
    let requests = fake.requests().len() - began;
    let wanted = seen(&fake).await;
    assert!(requests > 60 && began > 0, "{requests} requests");
    let troubles = [
        Trouble::CutBefore,
        Trouble::CutAfter,
        Trouble::Html(502),
        Trouble::Refused(Refusal::new(423, "locked", "of a test")),
        Trouble::Refused(Refusal::new(500, "server_error", "of a test")),
    ];
    let runs =
        (0..requests).flat_map(|at| troubles.iter().cloned().map(move |trouble| (at, trouble)));
    every(runs, |(at, trouble)| {
        let (wanted, before) = (wanted.clone(), before.clone());
        async move {
            let fake = project().await;
            let after = u32::try_from(at).expect("few");
            let fault = |after| Fault {
                method: None,
                path: String::new(),
                after,
                trouble: trouble.clone(),
            };
            fake.inject(fault(after));
            until_done(|| story(&fake)).await;
            fake.end_faults();
            assert_eq!(seen(&fake).await, wanted, "request {at}: {trouble:?}");
            fake.inject(fault(after % 20));
            until_done(|| destroy(&fake)).await;
            fake.end_faults();
            assert_eq!(seen(&fake).await, before, "request {at} of destroy: {trouble:?}");
        }
    })
    .await;
}

/// Runs all of these, eight at a time.
async fn every<T, F: Future<Output = ()> + Send + 'static>(
    runs: impl IntoIterator<Item = T>,
    run: impl Fn(T) -> F,
) {
    let mut set = tokio::task::JoinSet::new();
    for one in runs {
        set.spawn(run(one));
        if set.len() == 8 {
            set.join_next().await.expect("one").expect("no assertion failed");
        }
    }
    while let Some(done) = set.join_next().await {
        done.expect("no assertion failed");
    }
}

/// Several at once, anywhere, as a bad day has them. A failing seed is named.
#[tokio::test(flavor = "multi_thread")]
async fn after_any_storm_the_end_is_the_same() {
    let fake = project().await;
    let before = seen(&fake).await;
    story(&fake).await.expect("three servers");
    let wanted = seen(&fake).await;
    every(0..250, |seed| {
        let (wanted, before) = (wanted.clone(), before.clone());
        async move {
            let fake = project().await;
            let mut random = StdRng::seed_from_u64(seed);
            (0..random.random_range(1..7)).for_each(|_| fake.inject(any_fault(&mut random)));
            until_done(|| story(&fake)).await;
            fake.end_faults();
            assert_eq!(seen(&fake).await, wanted, "seed {seed}");
            (0..random.random_range(1..5)).for_each(|_| fake.inject(any_fault(&mut random)));
            until_done(|| destroy(&fake)).await;
            fake.end_faults();
            assert_eq!(seen(&fake).await, before, "seed {seed}, destroyed");
        }
    })
    .await;
}

fn any_fault(random: &mut StdRng) -> Fault {
    let refusals = [
        (429, "rate_limit_exceeded"),
        (423, "locked"),
        (409, "conflict"),
        (412, "resource_unavailable"),
        (422, "placement_error"),
        (422, "no_subnet_available"),
        (403, "resource_limit_exceeded"),
        (500, "server_error"),
        (503, "unavailable"),
        (504, "timeout"),
    ];
    let refusal = refusals[random.random_range(0..refusals.len())];
    let troubles = [
        Trouble::CutBefore,
        Trouble::CutAfter,
        Trouble::Html(502),
        Trouble::Refused(Refusal::new(refusal.0, refusal.1, "of a test")),
    ];
    let trouble = troubles[random.random_range(0..troubles.len())].clone();
    let failing =
        ["actions/poweron", "actions/poweroff", "actions/rebuild", "actions/attach_to_network"];
    match random.random_range(0..5) {
        0 => Fault {
            method: None,
            path: failing[random.random_range(0..failing.len())].to_owned(),
            after: random.random_range(0..3),
            trouble: Trouble::ActionFails("of a test".to_owned()),
        },
        _ => {
            Fault { method: None, path: String::new(), after: random.random_range(0..90), trouble }
        }
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_named_and_left() {
    let fake = project().await;
    let request = CreateNetworkRequest::new("10.85.0.0/24".to_owned(), "demo".to_owned());
    api(&fake).create(&request).await.expect("a network");
    let request = CreateServerRequest::new(
        "debian-12".to_owned(),
        "demo-node-1".to_owned(),
        "cx23".to_owned(),
    );
    let made = api(&fake).create_server(&request).await.expect("a server");
    api(&fake).ended(&made.actions, Duration::from_secs(5)).await.expect("made");
    let before = seen(&fake).await;
    let error = story(&fake).await.expect_err("the name is taken");
    assert!(
        matches!(&error, SiteError::Foreign { kind: "network", name } if name == "demo"),
        "{error}"
    );
    let error = destroy(&fake).await.expect_err("it is not ours");
    assert!(matches!(&error, SiteError::Foreign { kind: "node", .. }), "{error}");
    assert_eq!(seen(&fake).await, before);
}

#[tokio::test]
async fn a_server_that_is_there_gets_what_it_lacks_and_a_key_of_another_name_serves() {
    let fake = project().await;
    let key = CreateSshKeyRequest::new("mine".to_owned(), KEY.to_owned());
    api(&fake).create(&key).await.expect("a key");
    // What an interrupted run may have left: neither its volume nor its address ever came.
    let mut bare = CreateServerRequest::new(
        "debian-12".to_owned(),
        "demo-node-1".to_owned(),
        "cx23".to_owned(),
    );
    let labels = [("pgha/cluster", "demo"), ("pgha/kind", "node")];
    bare.labels = Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    bare.location = Some("fsn1".to_owned());
    let made = api(&fake).create_server(&bare).await.expect("a server");
    api(&fake).ended(&made.actions, Duration::from_secs(5)).await.expect("made");
    fake.inject(Fault {
        method: Some("POST".to_owned()),
        path: "actions/attach_to_network".to_owned(),
        after: 0,
        trouble: Trouble::ActionFails("the server is locked".to_owned()),
    });
    story(&fake).await.expect("what is locked passes");
    let volumes = api(&fake).ground("pgha/cluster").await.expect("ground").volumes;
    assert!(volumes.len() == 3 && volumes.iter().all(|volume| volume.server.is_some()));
    destroy(&fake).await.expect("nothing");
    let keys = api(&fake).ground("").await.expect("ground").ssh_keys;
    assert_eq!(keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["mine"]);
}

#[tokio::test]
async fn what_is_sold_out_is_replaced_by_the_next_kind_or_named() {
    let fake = project().await;
    fake.set_available("cx23", "fsn1", false);
    story(&fake).await.expect("of the second kind");
    let servers = site(&fake).servers().await.expect("servers");
    assert!(servers.iter().all(|server| server.server_type.name == "cx33"));
    let fake = project().await;
    ["cx23", "cx33"].iter().for_each(|kind| fake.set_available(kind, "fsn1", false));
    let error = story(&fake).await.expect_err("sold out");
    assert!(error.to_string().contains("in fsn1 now: cx23, cx33"), "{error}");
    assert!(site(&fake).servers().await.expect("servers").is_empty());
    destroy(&fake).await.expect("nothing is left of the volume that was made");
    assert!(api(&fake).ground("pgha/cluster").await.expect("ground").volumes.is_empty());
}
