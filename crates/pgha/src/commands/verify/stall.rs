//! A replica that has voted for the next leader, and learns of it late.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgha_core::cluster::{Node, Role};
use pgha_core::service::etcd::JSON_PORT;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::health::Health;
use pgha_verify::Scenario;
use serde_json::json;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Watches the leader lock. Patroni learns of a new leader at the same moment, so its process is
/// looked up before. Arguments: the watch, this node as the lock would name it, seconds, etcd.
const STALL: &str = r#"pid=$(systemctl show --property MainPID --value patroni.service)
proof="--cacert /run/pgha/tls/etcd-ca.crt --cert /run/pgha/tls/patroni-etcd.crt --key /run/pgha/tls/patroni-etcd.key"
curl -sN --max-time 120 $proof -d "$1" "$4/v3/watch" | while read -r event; do
    case $event in
    *\"value\":\"$2\"*) exit ;;
    *\"value\":*) kill -STOP "$pid" && sleep "$3" && kill -CONT "$pid" && exit ;;
    esac
done"#;

/// Arms every replica: those that are not the next leader stall from the moment there is one.
pub(super) async fn after_the_vote(
    workspace: &Workspace,
    fleet: &Fleet,
    leader: &Node,
    scenario: Scenario,
) -> Result<(), Failure> {
    let cluster = &workspace.cluster;
    let key = STANDARD.encode(format!("/service/{}/leader", cluster.name));
    let watch = json!({ "create_request": { "key": key } }).to_string();
    let members = cluster.nodes_with(Role::Etcd).find(|node| node.name != leader.name);
    let etcd = members.map(|node| format!("https://{}:{JSON_PORT}", node.address));
    let etcd = etcd.unwrap_or_default();
    for node in cluster.nodes_with(Role::Postgres).filter(|node| node.name != leader.name) {
        let own = STANDARD.encode(&node.name);
        let seconds = scenario.stalled_seconds(cluster).to_string();
        let run = ["systemd-run", "--quiet", "--collect", "/bin/sh", "-c", STALL, "sh"];
        let arguments = [watch.as_str(), &own, &seconds, &etcd];
        fleet.run(node, &run.into_iter().chain(arguments).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Whether Patroni does not answer on a node that neither was nor is the leader.
pub(super) fn is_seen(victim: &Node, during: &Health) -> bool {
    let leads = |name: &str| during.leader().is_some_and(|leader| leader.name == name);
    let others = during.nodes.iter().filter(|(name, _)| **name != victim.name && !leads(name));
    let mut silent = others.filter(|(_, node)| node.unreachable.is_none());
    silent.any(|(_, node)| node.instance.is_none())
}
