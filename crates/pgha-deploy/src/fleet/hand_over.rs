//! A planned change of leader. Poolers of transactions hold their clients back for it, who find the new leader behind the
//! session that they have.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use pgha_core::cluster::{LONGEST_HELD_TRANSACTION_SECONDS, Node, Role};
use pgha_platform::ssh::SshError;
use tokio::time::{Instant, sleep, timeout};

use super::{Fleet, Link};
use crate::node_error::NodeError;
use crate::pooler::{self, Pooler};
use crate::{declare, haproxy};

type Done = Result<(), NodeError>;

/// The door whose clients write, and HAProxy's name for what is behind it.
const PRIMARY: &str = "primary";

const LONGEST_TRANSACTION: Duration = Duration::from_secs(LONGEST_HELD_TRANSACTION_SECONDS as u64);

/// Whatever becomes of pgha or of the change, nobody is held for longer. Less than any preset's
/// `query_wait_timeout`, after which PgBouncer cuts who waits.
const LONGEST_HOLD: Duration = Duration::from_secs(10);

/// Between two looks at a route.
const PAUSE: Duration = Duration::from_millis(50);

/// What lets clients through when pgha is gone.
const TIMER: &str = "pgha-resume.timer";

impl Fleet {
    /// Any Patroni takes the request. Only one that cannot be reached leaves it to the next: another
    /// might have been carried out.
    pub(super) async fn hand_over(&self, from: &Node, to: Option<&str>) -> Done {
        let mut members = self.nodes.iter().collect::<Vec<_>>();
        members.sort_by_key(|node| node.name != from.name);
        let reached = async |link: Arc<Link>| Ok(link);
        let link = self.first_of(members, Role::Postgres, reached).await?;
        link.patroni()?.switchover(&from.name, to).await
    }

    /// Does `hand_over` while poolers hold back who writes. Each lets them through once its own
    /// HAProxy leads past `from`, and all of them do when it failed.
    pub(super) async fn holding_clients(
        &self,
        from: &Node,
        hand_over: impl Future<Output = Done>,
    ) -> Done {
        let routers = self.nodes.iter().filter(|node| node.role_set.has(Role::Haproxy));
        // Whom to hold is found out first: one silent node would keep the clients of all waiting.
        let holds = join_all(routers.map(|node| self.holdable(node))).await;
        let holds = holds.into_iter().flatten().collect::<Vec<_>>();
        join_all(holds.iter().map(Hold::begin)).await;
        let led = join_all(holds.iter().map(|hold| hold.end_when_led_past(&from.name)));
        let outcome = tokio::try_join!(hand_over, led.map(Ok)).map(drop);
        if outcome.is_err() {
            join_all(holds.iter().map(Hold::end)).await;
        }
        outcome
    }

    /// Says which transactions are likely to be cut, before anything is.
    pub(super) async fn name_long_transactions(&self, leader: &Node) {
        let Ok(link) = self.link(leader).await else { return };
        let longer = LONGEST_HELD_TRANSACTION_SECONDS;
        let query = format!(
            "SELECT format('%s on %s, open for %s s', usename, datname, floor(extract(epoch FROM now() - xact_start))) \
             FROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start < now() - interval '{longer} s' ORDER BY xact_start"
        );
        let open = declare::sql(&link.session, "postgres", &query).await.unwrap_or_default();
        for transaction in open.lines() {
            tracing::warn!("a transaction of {transaction}: cut, unless it ends at once");
        }
    }

    /// The clients that write through a node, if its pooler can hold them back, and answers.
    async fn holdable<'f>(&'f self, node: &'f Node) -> Option<Hold<'f>> {
        let link = self.link(node).await.ok()?;
        let pooler = link.poolers().find(|pooler| pooler.door == PRIMARY)?;
        let is_in_vain = pooler.pools_sessions(&link.session).await?;
        (!is_in_vain).then_some(Hold { node, link, pooler })
    }
}

/// Clients of one node that are held back, or are to be.
struct Hold<'f> {
    node: &'f Node,
    link: Arc<Link>,
    pooler: Pooler,
}

impl Hold<'_> {
    /// Returns when nobody is in a transaction any more, or when those who are have had their time:
    /// they are cut, the others stay held. Where that fails nobody is held.
    async fn begin(&self) {
        let (node, seconds) = (&self.node.name, LONGEST_TRANSACTION.as_secs());
        match timeout(LONGEST_TRANSACTION, self.pause()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("{node}: clients are not held: {error}"),
            Err(_) => tracing::warn!("{node}: a transaction takes longer than {seconds} s: cut"),
        }
    }

    async fn pause(&self) -> Result<(), SshError> {
        self.stop_timer().await;
        // First: no moment may be without it. PgBouncer takes the signal as RESUME.
        let after = format!("--on-active={}", LONGEST_HOLD.as_secs());
        let timer = ["systemd-run", "--quiet", "--collect", "--unit", TIMER, &after];
        let resume = ["--timer-property=AccuracySec=100ms", "systemctl", "kill", "--signal=USR2"];
        let unit = pooler::unit(PRIMARY);
        self.link.session.run(&[&timer[..], &resume, &[&unit]].concat(), b"").await?;
        self.pooler.pause(&self.link.session).await;
        Ok(())
    }

    async fn end_when_led_past(&self, from: &str) {
        let until = Instant::now() + LONGEST_HOLD;
        while Instant::now() < until && !self.is_led_past(from).await {
            sleep(PAUSE).await;
        }
        self.end().await;
    }

    /// Whether HAProxy of the node knows one primary, and another than `from`.
    async fn is_led_past(&self, from: &str) -> bool {
        let Ok(pools) = haproxy::pools(&self.link.session).await else { return false };
        let up = pools.up(PRIMARY).collect::<Vec<_>>();
        up.len() == 1 && up != [from]
    }

    async fn end(&self) {
        self.pooler.resume(&self.link.session).await;
        self.stop_timer().await;
    }

    async fn stop_timer(&self) {
        // One that is not there cannot be stopped.
        let _ = self.link.session.run(&["systemctl", "stop", TIMER], b"").await;
    }
}
