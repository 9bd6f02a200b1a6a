//! A project of the fake, a cluster's story in it, and what is seen of it.

use std::time::Duration;

use hcloud::models::{CreateNetworkRequest, CreateServerRequest};
use hetzner_fake::{Fake, Options};
use pgha_hetzner::model::{Labels, Resource};
use pgha_hetzner::{Api, Node, Rebuild, Site, SiteError, Token, Wanted};

pub(crate) const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1bxkqGyC8j1ZJyxJgWwq4Fh0eXkEJjRrK0mYbVnGhc pgha";
const TOKEN: &str = "a-token-that-nobody-may-see";
const NODES: [(&str, &str); 3] =
    [("node-1", "10.84.0.11"), ("node-2", "10.84.0.12"), ("node-3", "10.84.0.13")];

pub(crate) fn api(fake: &Fake) -> Api {
    Api::on_loopback(&Token::new(TOKEN), &fake.url, Duration::from_millis(1)).expect("a client")
}

pub(crate) fn site(fake: &Fake) -> Site {
    let wanted = Wanted {
        cluster: "demo".to_owned(),
        location: "fsn1".to_owned(),
        network_zone: "eu-central".to_owned(),
        server_types: ["cx23", "cx33"].map(str::to_owned).into(),
        network: "10.84.0.0/24".to_owned(),
        operators: vec!["192.0.2.0/24".to_owned()],
        public_key: KEY.to_owned(),
        volume_gb: 10,
    };
    Site::new(api(fake), wanted)
}

/// A project with two snapshots of images, and with things that are somebody else's.
pub(crate) async fn project() -> Fake {
    let options = Options {
        port: 0,
        token: TOKEN.to_owned(),
        pace: Duration::from_millis(1),
        hardware: None,
    };
    let fake = Fake::start(options).await.expect("a free port");
    let api = api(&fake);
    let patience = Duration::from_secs(5);
    let request =
        CreateServerRequest::new("debian-12".to_owned(), "other".to_owned(), "cx23".to_owned());
    let other = api.create_server(&request).await.expect("a server");
    api.ended(&other.actions, patience).await.expect("made");
    let network = CreateNetworkRequest::new("10.9.0.0/24".to_owned(), "other".to_owned());
    api.create(&network).await.expect("a network");
    for image in ["image-a", "image-b"] {
        let labels = [("pgha/image", image), ("pgha/cluster", "demo")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let made = api.create_snapshot(other.thing.id, image, &labels).await.expect("a snapshot");
        api.ended(&made.actions, patience).await.expect("made");
    }
    fake
}

pub(crate) fn noted(image: &str) -> Labels {
    [("pgha/running-image".to_owned(), image.to_owned())].into()
}

/// From nothing to three servers, one of them with another image.
pub(crate) async fn story(fake: &Fake) -> Result<(), SiteError> {
    let site = site(fake);
    site.create_ground().await?;
    for (name, address) in NODES {
        let address = address.parse().expect("an address");
        let labels = noted("image-a");
        let node = Node { name, address, image: "image-a", user_data: "a seed", labels };
        site.create_server(&node).await?;
    }
    let labels = noted("image-b");
    let rebuild = Rebuild { name: "node-2", image: "image-b", user_data: "another seed", labels };
    site.rebuild_server(&rebuild).await
}

/// What there is, without the numbers that Hetzner gives, and without the kinds of server: what is sold out has another.
pub(crate) async fn seen(fake: &Fake) -> Vec<String> {
    let api = api(fake);
    let mut seen = Vec::new();
    for server in api.servers("").await.expect("servers") {
        let addresses =
            server.private_net.iter().map(|card| card.ip.to_string()).collect::<Vec<_>>();
        let image = server.image.map(|image| image.labels);
        let data = fake.user_data(&server.name);
        seen.push(format!(
            "server {} {:?} {:?} {addresses:?} {image:?} {data:?} {} volumes",
            server.name,
            server.status,
            server.labels,
            server.volumes.len()
        ));
    }
    let ground = api.ground("").await.expect("ground");
    let named = |kind: &str, resources: Vec<Resource>| {
        let line =
            |it: Resource| format!("{kind} {} {:?} {}", it.name, it.ip_range, it.server.is_some());
        resources.into_iter().map(line).collect::<Vec<_>>()
    };
    seen.extend(named("volume", ground.volumes));
    seen.extend(named("network", ground.networks));
    seen.extend(named("firewall", ground.firewalls));
    seen.extend(named("group", ground.placement_groups));
    seen.extend(named("key", ground.ssh_keys));
    seen.sort();
    seen
}

pub(crate) async fn destroy(fake: &Fake) -> Result<(), SiteError> {
    let site = site(fake);
    for (name, _) in NODES {
        site.delete_server(name).await?;
    }
    site.delete_ground().await
}

/// Does it again until it succeeds, as an operator would.
pub(crate) async fn until_done<F: Future<Output = Result<(), SiteError>>>(
    what: impl Fn() -> F,
) -> u32 {
    for tries in 1..10 {
        if what().await.is_ok() {
            return tries;
        }
    }
    panic!("not even the ninth try succeeds: {:?}", what().await)
}
