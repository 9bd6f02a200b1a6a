//! What only the node itself can tell.

use futures_util::future::join_all;
use pgha_core::Dynamic;
use pgha_core::cluster::Node;
use pgha_platform::command::shortened;

use super::Wanted;
use super::volume::{Volume, volume};
use crate::fleet::{Fleet, Link};
use crate::health::NodeHealth;
use crate::node_error::ANSWER;
use crate::pooler::Pool;
use crate::secrets;

/// What only the node itself can tell.
#[derive(Default)]
pub(super) struct Inside {
    pub(super) tree: Option<String>,
    pub(super) package_root: Option<String>,
    pub(super) guard: Option<String>,
    pub(super) refused: Option<String>,
    pub(super) failed_units: Vec<String>,
    pub(super) certificate_days: Option<i64>,
    pub(super) volume: Option<Volume>,
    pub(super) pooler: Vec<Pool>,
    pub(super) config: Option<Dynamic>,
}

impl Inside {
    /// Whether its image is what it should be, as far as both are known.
    pub(super) fn runs(&self, wanted: &Wanted<'_>) -> Option<bool> {
        let tree = self.tree.as_ref()? == wanted.tree.as_str();
        let root = self.package_root.as_ref().zip(wanted.package_root);
        Some(tree && root.is_none_or(|(has, newest)| has == newest.as_str()))
    }
}

/// `heard`: what it said before. One that was silent is not asked again.
pub(super) async fn inside(fleet: &Fleet, node: &Node, heard: Option<&NodeHealth>) -> Inside {
    if heard.is_none_or(|heard| heard.unreachable.is_some()) {
        return Inside::default();
    }
    let Ok(link) = fleet.link(node).await else {
        return Inside::default();
    };
    let read = async |path: &str| {
        link.session.run(&["cat", path], b"").await.ok().map(|text| text.trim().to_owned())
    };
    let units = ["systemctl", "list-units", "--failed", "--plain", "--no-legend"];
    // HAProxy takes certificate and key from one file.
    let certificates = "find /run/pgha/tls ( -name *.crt -o -name haproxy.pem ) -exec cat {} +";
    let certificates = certificates.split(' ').collect::<Vec<_>>();
    let (manifest, guard, refused, failed, pem, pooler, volume) = tokio::join!(
        read("/etc/pgha/manifest.json"),
        read("/run/pgha-guard/state"),
        read("/run/pgha/refused"),
        link.session.run(&units, b""),
        link.session.run(&certificates, b""),
        pools(&link),
        volume(&link.session),
    );
    let config = match &link.patroni {
        Some(patroni) => patroni.config().await.ok(),
        None => None,
    };
    let manifest: serde_json::Value =
        manifest.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let failed = failed.unwrap_or_default();
    let short = |text: String| shortened(&text, ANSWER);
    Inside {
        tree: manifest["tree"].as_str().map(str::to_owned),
        package_root: manifest["package_root"].as_str().map(str::to_owned),
        guard: guard.map(short),
        refused: refused.map(short),
        failed_units: failed
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect(),
        certificate_days: first_expiry(&pem.unwrap_or_default()),
        volume,
        pooler,
        config,
    }
}

async fn pools(link: &Link) -> Vec<Pool> {
    let poolers = link.poolers().collect::<Vec<_>>();
    let pools = join_all(poolers.iter().map(|pooler| pooler.pools(&link.session))).await;
    pools.into_iter().flatten().flatten().collect()
}

/// Days until the first of these certificates expires.
fn first_expiry(pem: &str) -> Option<i64> {
    let now = jiff::Timestamp::now().as_second();
    secrets::first_end(pem.as_bytes()).map(|end| (end - now).div_euclid(86_400))
}
