//! A planned change of leader. Poolers that pool transactions hold their clients back meanwhile. The clients then find the new leader
//! behind the session that they have.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use pgha_core::cluster::{LONGEST_HELD_TRANSACTION_SECONDS, Node, Role};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::timer::Timer;
use super::{Fleet, Link};
use crate::haproxy;
use crate::health::Candidate;
use crate::node_error::{NodeError, with_causes};
use crate::pooler::{self, Pooler};

type Done = Result<(), NodeError>;

/// The door for clients that write, and HAProxy's name for the pool behind it.
const PRIMARY: &str = "primary";

const LONGEST_TRANSACTION: Duration = Duration::from_secs(LONGEST_HELD_TRANSACTION_SECONDS as u64);

/// Between two looks at a node or a route.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a node may take to start or stop its timer, and its PostgreSQL to end sessions.
const PROMPT: Duration = Duration::from_secs(3);

impl Fleet {
    /// Any Patroni takes the request. Only one that cannot be reached leaves it to the next: one that was reached may have carried it out.
    pub(super) async fn hand_over(&self, from: &Node, to: &Candidate) -> Done {
        let mut members = self.nodes.iter().collect::<Vec<_>>();
        members.sort_by_key(|node| node.name != from.name);
        let reached = async |link: Arc<Link>| Ok(link);
        let link = self.first_of(members, Role::Postgres, reached).await?;
        link.patroni()?.switchover(&from.name, to.name()).await
    }

    /// Does `hand_over` while poolers hold back the clients that write. Once a node other than `from` is promoted, every HAProxy is told.
    /// Each lets its clients through when it leads there. If `hand_over` fails, all clients are let through.
    pub(super) async fn with_routes(
        &self,
        from: &Node,
        hand_over: impl Future<Output = Done>,
    ) -> Done {
        let routers = self.nodes_with(Role::Haproxy);
        // First find out which clients to hold: one silent node would keep the clients of all nodes
        // waiting.
        let routes = join_all(routers.map(|node| self.route(node))).await;
        let routes = routes.into_iter().flatten().collect::<Vec<_>>();
        let until = Instant::now() + self.longest_hold;
        join_all(routes.iter().map(Route::hold)).await;
        let led = async {
            let to = timeout_at(until, self.promoted_past(from)).await.ok().flatten();
            join_all(routes.iter().map(|route| route.follow(from, to, until))).await
        };
        let outcome = tokio::try_join!(hand_over, led.map(Ok)).map(drop);
        if outcome.is_err() {
            join_all(routes.iter().map(Route::release)).await;
        }
        outcome
    }

    /// Does what would make a change of leader long, before any client waits for it. Warns of
    /// transactions that are likely to be cut, and writes out what the old leader would write while
    /// it stops.
    pub(super) async fn prepare(&self, leader: &Node) {
        let query = format!(
            "SELECT format('%s on %s, open for %s s', usename, datname, floor(extract(epoch FROM now() - xact_start))) \
             FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
             AND xact_start < now() - interval '{LONGEST_HELD_TRANSACTION_SECONDS} s' ORDER BY xact_start; CHECKPOINT;"
        );
        let asked = async {
            let link = self.link(leader).await?;
            if let Some(patroni) = &link.patroni {
                patroni.prepare().await?;
            }
            link.sql(&query).await
        };
        match asked.await {
            Ok(open) => open.lines().for_each(|transaction| {
                tracing::warn!("a transaction of {transaction}: cut, unless it ends at once");
            }),
            Err(error) => {
                tracing::warn!("{}: no checkpoint before: {}", leader.name, with_causes(&error))
            }
        }
    }

    /// Ends the sessions that read logical changes. PostgreSQL would not stop before they have confirmed all of them. Until then there
    /// would be no leader, under async without a time limit. The readers reconnect to whichever node leads by then.
    pub(super) async fn end_readers(&self, node: &Node) {
        let query = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL";
        let asked = async { self.link(node).await?.sql(query).await };
        // Clients may be held back meanwhile.
        let why = match timeout(PROMPT, asked).await {
            Ok(Ok(none)) if none.is_empty() => return,
            Ok(Ok(_)) => return tracing::info!("{}: ended who reads logical changes", node.name),
            Ok(Err(error)) => with_causes(&error),
            Err(_) => format!("PostgreSQL did not answer within {} s", PROMPT.as_secs()),
        };
        tracing::warn!("{}: who reads logical changes may hold it up: {why}", node.name);
    }

    /// The route of a node's clients to the primary.
    async fn route<'f>(&'f self, node: &'f Node) -> Option<Route<'f>> {
        let unheld = |why: &dyn std::error::Error| {
            tracing::warn!("clients of {} are not held: {}", node.name, with_causes(why));
        };
        let link = self.link(node).await.inspect_err(|error| unheld(error)).ok()?;
        let mut pooler = link.poolers().find(|pooler| pooler.door == PRIMARY);
        if let Some(own) = &pooler {
            let mode = own.pools_sessions(&link.session).await.inspect_err(|error| unheld(error));
            pooler = pooler.filter(|_| !mode.unwrap_or(true));
        }
        Some(Route { fleet: self, node, link, pooler })
    }

    /// Waits for the first node other than `from` whose PostgreSQL has left recovery.
    async fn promoted_past(&self, from: &Node) -> Option<&Node> {
        let others = self.nodes_with(Role::Postgres).filter(|node| node.name != from.name);
        let promoted = others.map(async |node| {
            while !self.is_promoted(node).await {
                sleep(PAUSE).await;
            }
            node
        });
        promoted.collect::<FuturesUnordered<_>>().next().await
    }

    async fn is_promoted(&self, node: &Node) -> bool {
        let Ok(link) = self.link(node).await else { return false };
        let Ok(patroni) = link.patroni() else { return false };
        patroni.instance().await.is_ok_and(|instance| instance.is_primary())
    }
}

/// The route of one node's clients to the primary, while the primary changes.
struct Route<'f> {
    fleet: &'f Fleet,
    node: &'f Node,
    link: Arc<Link>,
    /// The pooler that can hold them back.
    pooler: Option<Pooler>,
}

impl Route<'_> {
    /// Holds the clients back. Returns when no transaction is open any more, or when the open ones
    /// have had their time: they are cut, the other clients stay held. If it fails, no client is
    /// held.
    async fn hold(&self) {
        let (node, Some(pooler)) = (&self.node.name, &self.pooler) else { return };
        // The timer comes first: clients must never be held without it.
        if let Err(why) = self.start_timer().await {
            return tracing::warn!("clients of {node} are not held: {why}");
        }
        match timeout(LONGEST_TRANSACTION, pooler.pause(&self.link.session)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("clients of {node} are not held: {error}"),
            Err(_) => tracing::warn!(
                "{node}: transactions open for longer than {LONGEST_HELD_TRANSACTION_SECONDS} s: cut"
            ),
        }
    }

    /// Lets the clients through once HAProxy leads to `to` and to no other node, or at `until`.
    async fn follow(&self, from: &Node, to: Option<&Node>, until: Instant) {
        let Some(to) = to else {
            tracing::warn!("nobody leads yet; clients of {} are held no longer", self.node.name);
            return self.release().await;
        };
        if let Err(error) = haproxy::follow(&self.link.session, PRIMARY, &from.name, &to.name).await
        {
            tracing::warn!("{}: {}", self.node.name, with_causes(&error));
        }
        while !self.leads_to(to).await && Instant::now() < until {
            sleep(PAUSE).await;
        }
        self.release().await;
    }

    async fn leads_to(&self, node: &Node) -> bool {
        let pools = haproxy::pools(&self.link.session).await;
        pools.is_ok_and(|pools| pools.up(PRIMARY).collect::<Vec<_>>() == [node.name.as_str()])
    }

    /// A pooler that does not answer is left to the timer.
    async fn release(&self) {
        let Some(pooler) = &self.pooler else { return };
        match pooler.resume(&self.link.session).await {
            Ok(()) => self.stop_timer().await,
            Err(error) => {
                tracing::warn!("{}: its clients wait for its timer: {error}", self.node.name)
            }
        }
    }

    async fn start_timer(&self) -> Result<(), String> {
        match timeout(PROMPT, self.timer().start(&self.link.session)).await {
            Ok(started) => started.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no timer within {} s", PROMPT.as_secs())),
        }
    }

    async fn stop_timer(&self) {
        let _ = timeout(PROMPT, self.timer().stop(&self.link.session)).await;
    }

    /// The timer that lets clients through if pgha dies.
    fn timer(&self) -> Timer {
        // PgBouncer treats this signal as RESUME.
        let resume = ["systemctl", "kill", "--signal=USR2", &pooler::unit(PRIMARY)];
        let command = resume.map(str::to_owned).into();
        Timer { name: "pgha-resume", after: self.fleet.longest_hold, command }
    }
}
