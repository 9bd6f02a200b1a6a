//! The daemons of real nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use pgha_core::Dynamic;
use pgha_core::cluster::{Node, Role};
use pgha_core::inventory::{Ailment, UNTOLD};
use pgha_core::service::etcd::PEER_PORT;
use pgha_core::{Cluster, Object};

use super::{Fleet, Link, with_causes};
use crate::daemons::{Daemons, Untaken};
use crate::health::{Candidate, Health};
use crate::node_error::NodeError;
use crate::pooler::{self, Pooler};
use crate::secrets::Secrets;
use crate::{barred, config_check, contract, copy, declare, units};

type Done = Result<(), NodeError>;

impl Daemons for Fleet {
    async fn health(&self) -> Health {
        Health::observe(self).await
    }

    async fn config(&self) -> Option<Dynamic> {
        let ask = |link: Arc<Link>| async move { link.patroni()?.config().await };
        self.first_answer(Role::Postgres, ask).await.ok()
    }

    async fn is_blank(&self, cluster: &Cluster) -> bool {
        let keys = ["config", "leader"].map(|key| format!("/service/{}/{key}", cluster.name));
        let keys = &keys;
        let ask = |link: Arc<Link>| async move { link.etcd()?.has_none(keys).await };
        self.disconnected(cluster).first_answer(Role::Etcd, ask).await.unwrap_or(false)
    }

    async fn objects(&self, leader: &Node, cluster: &Cluster) -> Option<BTreeSet<Object>> {
        let link = self.link(leader).await.ok()?;
        declare::existing(&link.session, cluster, self.secrets())
            .await
            .inspect_err(|error| tracing::debug!("{error}"))
            .ok()
    }

    async fn failed_units(&self, node: &Node) -> Option<String> {
        let link = self.link(node).await.ok()?;
        Some(units::report(&link.session, &link.units).await)
    }

    async fn switchover(&self, from: &Node, to: &Candidate) -> Done {
        self.prepare(from).await;
        let hand_over = async {
            self.end_readers(from).await;
            self.hand_over(from, to).await
        };
        self.with_routes(from, hand_over).await
    }

    async fn judge(&self, config: &Dynamic) -> Result<String, NodeError> {
        let health = Health::observe(self).await;
        let leads = |node: &Node| health.leader().is_some_and(|leader| leader.name == node.name);
        match self.in_use(self.nodes.iter().find(|node| leads(node)), config).await {
            Ok(none) if none.is_empty() => {}
            Ok(in_use) => return Ok(in_use),
            // The new configuration may be the cure for exactly that.
            Err(error) => tracing::warn!("nobody says what clients have in use: {error}"),
        }
        // Replicas first, because judging takes room and memory for a moment.
        let mut members = self.nodes.iter().collect::<Vec<_>>();
        members.sort_by_key(|node| leads(node));
        let ask =
            |link: Arc<Link>| async move { config_check::judged(&link.session, config).await };
        self.first_of(members, Role::Postgres, ask).await
    }

    async fn not_taken(&self, members: &[&Node], config: &Dynamic) -> Untaken {
        let asked = join_all(members.iter().map(async |node| {
            let said = match self.link(node).await {
                Ok(link) => {
                    config_check::not_taken(&link.session, config).await.map_err(NodeError::from)
                }
                Err(error) => Err(error),
            };
            let untold = |error: &NodeError| format!("{UNTOLD}{}", with_causes(error));
            (node.name.clone(), said.unwrap_or_else(|error| vec![untold(&error)]))
        }));
        asked.await.into_iter().filter(|(_, said)| !said.is_empty()).collect()
    }

    async fn altered(&self, nodes: &[Node]) -> BTreeMap<String, Vec<String>> {
        let asked = join_all(nodes.iter().map(async |node| {
            let link = self.link(node).await.ok()?;
            Some((node.name.clone(), contract::altered(&link.session).await.ok()?))
        }));
        asked.await.into_iter().flatten().filter(|(_, what)| !what.is_empty()).collect()
    }

    async fn restore(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        config_check::clear(&link.session).await?;
        // Through Patroni, which rewrites the other files and finds out what waits for a restart.
        link.patroni()?.reload().await
    }

    async fn barred(&self, leader: &Node, cluster: &Cluster) -> Vec<String> {
        let Ok(link) = self.link(leader).await else { return Vec::new() };
        let asked = barred::barred(&link.session, cluster).await;
        asked.inspect_err(|error| tracing::debug!("{error}")).unwrap_or_default()
    }

    async fn set_config(&self, config: &Dynamic) -> Done {
        let ask = |link: Arc<Link>| async move { link.patroni()?.set_config(config).await };
        self.first_answer(Role::Postgres, ask).await
    }

    async fn restart_if_pending(&self, node: &Node) -> Result<bool, NodeError> {
        let link = self.link(node).await?;
        // This is called again and again until something waits. Sessions are ended only then.
        if link.patroni()?.instance().await.is_ok_and(|instance| instance.pending_restart) {
            self.end_readers(node).await;
        }
        link.patroni()?.restart_if_pending().await
    }

    async fn slots(&self, leader: &Node) -> Vec<String> {
        let members = self.nodes_with(Role::Postgres);
        let members = members.map(|node| node.name.clone()).collect::<Vec<_>>();
        let Ok(link) = self.link(leader).await else { return Vec::new() };
        declare::slots(&link.session, &members).await.unwrap_or_default()
    }

    async fn start(&self, node: &Node, units: &[String], unresponsive: &[String]) -> Done {
        let link = self.link(node).await?;
        let run = async |command: &[&str], units: &[String]| {
            let units = units.iter().map(String::as_str).collect::<Vec<_>>();
            link.session.run(&[command, &units[..]].concat(), b"").await.map(drop)
        };
        if !unresponsive.is_empty() {
            // A program that hangs reacts to no other signal.
            run(&["systemctl", "kill", "--signal=KILL"], unresponsive).await?;
        }
        run(&["systemctl", "start", "--no-block"], units).await?;
        let named = |pooler: &Pooler| units.contains(&pooler::unit(&pooler.door));
        let poolers = link.poolers().filter(named).collect::<Vec<_>>();
        if !poolers.is_empty() {
            let databases = self.databases().await;
            let released = poolers.iter().map(|pooler| pooler.release(&link.session, &databases));
            join_all(released).await;
        }
        Ok(())
    }

    async fn restart_patroni(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        Ok(link.session.run(&["systemctl", "restart", "patroni.service"], b"").await.map(drop)?)
    }

    async fn ailment(&self, node: &Node, health: &Health) -> Option<Ailment> {
        let link = self.link(node).await.ok()?;
        copy::ailment(&link.session, health.instance(&node.name)?).await
    }

    async fn has_lost_member(&self, node: &Node) -> bool {
        match self.link(node).await {
            Ok(link) => copy::has_lost_member(&link.session).await,
            Err(_) => false,
        }
    }

    async fn copied(&self, node: &Node) -> Option<u64> {
        copy::size(&self.link(node).await.ok()?.session).await
    }

    async fn reclone(&self, node: &Node) -> Done {
        self.link(node).await?.patroni()?.reinitialize().await
    }

    async fn rejoin_etcd(&self, node: &Node) -> Done {
        let link = self.link(node).await?;
        let run = async |command: &str| {
            let command = command.split(' ').collect::<Vec<_>>();
            link.session.run(&command, b"").await.map(drop)
        };
        run("systemctl stop etcd.service").await?;
        let peer = format!("https://{}:{PEER_PORT}", node.address);
        let others = self.nodes.iter().filter(|other| other.name != node.name).collect();
        let replace = async |link: Arc<Link>| link.etcd()?.replace_member(&node.name, &peer).await;
        self.first_of(others, Role::Etcd, replace).await?;
        run("runuser -u etcd -- /bin/sh /etc/pgha/lib/pgha-etcd forget").await?;
        Ok(run("systemctl start --no-block etcd.service").await?)
    }

    async fn make_room(&self) -> Done {
        let members = self.nodes_with(Role::Etcd);
        for node in members {
            // One that is away takes its turn when it is back and raises the alarm again.
            let room = async { self.link(node).await?.etcd()?.make_room().await };
            if let Err(error) = room.await {
                tracing::warn!("{}: {error}", node.name);
            }
        }
        let disarm = |link: Arc<Link>| async move { link.etcd()?.disarm().await };
        self.first_answer(Role::Etcd, disarm).await
    }

    async fn declare(&self, leader: &Node, cluster: &Cluster, secrets: &Secrets) -> Done {
        Ok(declare::declare(&self.link(leader).await?.session, cluster, secrets).await?)
    }
}

impl Fleet {
    /// Names of all databases, if a PostgreSQL answers.
    async fn databases(&self) -> Vec<String> {
        let ask =
            |link: Arc<Link>| async move { link.sql("SELECT datname FROM pg_database").await };
        let names = self.first_answer(Role::Postgres, ask).await.unwrap_or_default();
        names.lines().map(str::to_owned).collect()
    }

    /// What clients have in use on the leader and could not keep with a dynamic configuration.
    async fn in_use(&self, leader: Option<&Node>, config: &Dynamic) -> Result<String, NodeError> {
        let leader = leader.ok_or(NodeError::Absent("the leader"))?;
        Ok(config_check::in_use(&self.link(leader).await?.session, config).await?)
    }
}
