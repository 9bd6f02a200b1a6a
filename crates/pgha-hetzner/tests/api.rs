//! The API's calls against the fake of it: retries, silence, new words, pages and actions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hcloud::models::{
    CreateNetworkRequest, CreatePlacementgroupRequest, CreateServerRequest, CreateVolumeRequest,
    create_placementgroup_request,
};
use hetzner_fake::{Fake, Fault, Options, Refusal, Trouble};
use pgha_hetzner::model::{ImageStatus, Status};
use pgha_hetzner::{Api, ApiError, Code, Piece, Power, Token};

const PATIENCE: Duration = Duration::from_secs(5);
const TOKEN: &str = "a-token-that-nobody-may-see";

async fn fake() -> (Fake, Api) {
    let options = Options {
        port: 0,
        token: TOKEN.to_owned(),
        pace: Duration::from_millis(5),
        hardware: None,
    };
    let fake = Fake::start(options).await.expect("a free port");
    let api = Api::on_loopback(&Token::new(TOKEN), &fake.url, Duration::from_millis(4));
    (fake, api.expect("a client"))
}

fn request(name: &str) -> CreateServerRequest {
    let mut request =
        CreateServerRequest::new("debian-12".to_owned(), name.to_owned(), "cx23".to_owned());
    request.location = Some("fsn1".to_owned());
    request.user_data = Some("a seed".to_owned());
    request.labels = Some([("pgha/cluster".to_owned(), "demo".to_owned())].into());
    request.start_after_create = Some(false);
    request
}

fn fault(method: &str, path: &str, trouble: Trouble) -> Fault {
    Fault { method: Some(method.to_owned()), path: path.to_owned(), after: 0, trouble }
}

fn refused(status: u16, code: &str) -> Trouble {
    Trouble::Refused(Refusal::new(status, code, "of a test"))
}

#[tokio::test]
async fn a_node_is_made_booted_rebuilt_and_deleted() {
    let (fake, api) = fake().await;
    let mut volume = CreateVolumeRequest::new("demo-node-1-data".to_owned(), 10);
    volume.location = Some("fsn1".to_owned());
    let volume = api.create(&volume).await.expect("a volume");
    api.ended(&volume.actions, PATIENCE).await.expect("made");
    let mut network = CreateNetworkRequest::new("10.84.0.0/24".to_owned(), "demo".to_owned());
    let subnet = hcloud::models::Subnet {
        ip_range: Some("10.84.0.0/24".to_owned()),
        ..hcloud::models::Subnet::new("eu-central".to_owned(), hcloud::models::subnet::Type::Cloud)
    };
    network.subnets = Some(vec![subnet]);
    let network = api.create(&network).await.expect("a network");

    let mut wanted = request("demo-node-1");
    wanted.volumes = Some(vec![i64::try_from(volume.thing.id).expect("small")]);
    let made = api.create_server(&wanted).await.expect("a server");
    api.ended(&made.actions, PATIENCE).await.expect("made");
    let (id, address) = (made.thing.id, "10.84.0.11".parse().expect("an address"));
    let attached = api.attach_to_network(id, network.thing.id, address).await;
    api.ended(&attached.expect("attached"), PATIENCE).await.expect("attached");
    api.ended(&api.power(id, Power::On).await.expect("on"), PATIENCE).await.expect("on");
    let [server] = &api.servers("pgha/cluster=demo").await.expect("servers")[..] else {
        panic!("one server")
    };
    assert_eq!((server.status, server.private_net[0].ip), (Status::Running, address));
    assert!(server.volumes == [volume.thing.id] && server.public_net.ipv4.is_some());
    assert_eq!(fake.user_data("demo-node-1").as_deref(), Some("a seed"));

    let labels = [("pgha/image".to_owned(), "a".repeat(40))].into();
    let snapshot = api.create_snapshot(id, "of a test", &labels).await.expect("a snapshot");
    assert_eq!(snapshot.thing.status, ImageStatus::Creating);
    api.ended(&snapshot.actions, PATIENCE).await.expect("made");
    let rebuilt =
        api.rebuild_server(id, snapshot.thing.id, Some("another")).await.expect("rebuilt");
    api.ended(&rebuilt, PATIENCE).await.expect("rebuilt");
    let server = api.server_called("demo-node-1").await.expect("servers").expect("it is there");
    assert_eq!(server.image.map(|image| image.id), Some(snapshot.thing.id));
    assert_eq!(fake.user_data("demo-node-1").as_deref(), Some("another"));

    api.ended(&api.delete_server(id).await.expect("deleted"), PATIENCE).await.expect("deleted");
    let pieces = [
        Piece::Volume(volume.thing.id),
        Piece::Network(network.thing.id),
        Piece::Image(snapshot.thing.id),
    ];
    for piece in pieces.iter().chain(&pieces) {
        api.delete(*piece).await.expect("to delete twice is no error");
    }
    assert!(api.snapshots("pgha/image").await.expect("snapshots").is_empty());
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told_at_once() {
    let (fake, api) = fake().await;
    for trouble in [
        refused(429, "rate_limit_exceeded"),
        refused(423, "locked"),
        refused(409, "conflict"),
        Trouble::Html(429),
    ] {
        fake.inject(fault("POST", "placement_groups", trouble));
    }
    let kind = create_placementgroup_request::Type::Spread;
    let wanted = CreatePlacementgroupRequest::new("demo".to_owned(), kind);
    api.create(&wanted).await.expect("after four refusals");
    assert_eq!(fake.requests().len(), 5);
    let taken = api.create(&wanted).await.expect_err("the name is taken");
    assert!(taken.is(&Code::UniquenessError), "{taken}");
    for code in
        ["unavailable", "resource_limit_exceeded", "placement_error", "token_readonly", "protected"]
    {
        let before = fake.requests().len();
        let status = if code == "unavailable" { 503 } else { 422 };
        fake.inject(fault("POST", "servers", refused(status, code)));
        let error = api.create_server(&request("a")).await.expect_err(code);
        assert_eq!(fake.requests().len(), before + 1, "{error}");
        assert!(error.to_string().contains("correlation id fake"), "{error}");
    }
    assert!(api.servers("pgha/cluster=demo").await.expect("servers").is_empty());
}

#[tokio::test]
async fn a_creation_without_an_answer_is_not_repeated() {
    let (fake, api) = fake().await;
    for (trouble, made) in
        [(Trouble::CutBefore, false), (Trouble::Html(502), false), (Trouble::CutAfter, true)]
    {
        fake.inject(fault("POST", "servers", trouble));
        let error = api.create_server(&request("a")).await.expect_err("no answer");
        assert!(matches!(error, ApiError::Silent { .. }) || error.is(&Code::BadGateway), "{error}");
        assert_eq!(api.server_called("a").await.expect("servers").is_some(), made);
    }
    let posts = fake.requests().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 3);
    // What may be done twice is.
    fake.inject(fault("GET", "servers", Trouble::CutAfter));
    fake.inject(fault("GET", "servers", Trouble::Html(504)));
    assert_eq!(api.servers("").await.expect("after two").len(), 1);
}

#[tokio::test]
async fn actions_that_fail_hang_or_vanish_are_named() {
    let (fake, api) = fake().await;
    let made = api.create_server(&request("a")).await.expect("a server");
    api.ended(&made.actions, PATIENCE).await.expect("made");
    let failing = Trouble::ActionFails("the volume is locked".to_owned());
    fake.inject(fault("POST", "actions/poweron", failing));
    let begun = api.power(made.thing.id, Power::On).await.expect("begun");
    let error = api.ended(&begun, PATIENCE).await.expect_err("it fails");
    assert!(
        matches!(&error, ApiError::ActionFailed { message, .. } if message.contains("locked")),
        "{error}"
    );
    assert!(error.to_string().contains("start_server"), "{error}");
    fake.set_pace(Duration::from_secs(60));
    let begun = api.power(made.thing.id, Power::On).await.expect("begun");
    let late = api.ended(&begun, Duration::from_millis(30)).await.expect_err("it hangs");
    assert!(matches!(late, ApiError::Late { .. }), "{late}");
    let unknown = pgha_hetzner::model::Action { id: 1, ..begun[0].clone() };
    let gone = api.ended(&[unknown], PATIENCE).await.expect_err("it is not known");
    assert!(matches!(gone, ApiError::ActionsGone(1)), "{gone}");
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let (fake, api) = fake().await;
    let kind = create_placementgroup_request::Type::Spread;
    for number in 0..120 {
        let wanted = CreatePlacementgroupRequest {
            labels: Some([("page".to_owned(), "yes".to_owned())].into()),
            ..CreatePlacementgroupRequest::new(format!("group-{number}"), kind)
        };
        api.create(&wanted).await.expect("a group");
    }
    let before = fake.requests().len();
    assert_eq!(api.ground("page").await.expect("ground").placement_groups.len(), 120);
    // Three pages of groups, one each of what there is none of.
    assert_eq!(fake.requests().len() - before, 7);
}

/// What the program writes with every detail turned on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_written_anywhere() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (fake, api) = fake().await;
    let made = api.create_server(&request("a")).await.expect("a server");
    api.ended(&made.actions, PATIENCE).await.expect("made");
    fake.inject(fault("GET", "servers", Trouble::Html(502)));
    fake.inject(fault("POST", "servers", Trouble::CutAfter));
    let seen = format!("{:?}{:?}", api.servers("").await, api.create_server(&request("b")).await);
    let begun = api.enable_rescue(made.thing.id, &[]).await;
    let log = String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned();
    let said = format!("{log}{seen}{begun:?}{made:?}");
    assert!(log.contains("servers"), "nothing is written at all");
    for secret in [TOKEN, "a seed", "never-to-be-logged"] {
        assert!(!said.contains(secret), "{secret} is written");
    }
}
