//! One run: prepare, write, break, hold, heal, wait for health, read everything back.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pgha_core::cluster::{Node, Role};
use pgha_core::plan::Gate;
use pgha_deploy::declare;
use pgha_deploy::fleet::Fleet;
use pgha_deploy::gate::{self, GateError};
use pgha_deploy::health::Health;
use pgha_deploy::secrets;
use pgha_platform::ssh::Tunnel;
use pgha_verify::{Endpoint, Played, Scenario, Side, Workload};

use super::fault;
use crate::commands::switchover;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// Outside writers: enough that a stop is more than the pause of one, few enough to leave the
/// machine to the cluster.
const WRITERS: usize = 4;
/// Load before the fault.
const WARM_UP: Duration = Duration::from_secs(3);
/// Load after the cluster is healthy again.
const COOL_DOWN: Duration = Duration::from_secs(2);
/// Seconds a healed cluster may take to be healthy, including the rebuild of a replica.
const HEALTH_SECONDS: u32 = 180;

/// A cluster to break.
pub(super) struct Arena<'a> {
    pub(super) workspace: &'a Workspace,
    fleet: &'a Fleet,
    ca: String,
    /// The fault under way.
    fault: Mutex<Option<(Scenario, Node)>>,
}

/// A scenario with its victim, the endpoints of its writers, and a database to write to.
pub(super) struct Prepared {
    scenario: Scenario,
    leader: Node,
    outside: Endpoint,
    inside: Option<(Endpoint, Tunnel)>,
}

impl<'a> Arena<'a> {
    pub(super) fn new(workspace: &'a Workspace, fleet: &'a Fleet, ca: &str) -> Self {
        Self { workspace, fleet, ca: ca.to_owned(), fault: Mutex::new(None) }
    }

    /// Ends what an earlier run may have left, waits for health, finds the leader and makes an
    /// empty database with a role and password of its own.
    pub(super) async fn prepare(&self, scenario: Scenario) -> Result<Prepared, Failure> {
        self.end_every_fault().await;
        let gate = Gate::new(HEALTH_SECONDS, 2);
        self.healthy(&gate).await.map_err(|error| Failure::broken(&error))?;
        let leader =
            self.workspace.node(&switchover::leader(self.workspace, self.fleet).await?)?.clone();
        let link = self.fleet.link(&leader).await?;
        let password = secrets::random_password();
        declare::sql(&link.session, "postgres", &fresh_database(&password)).await?;
        declare::sql(
            &link.session,
            "pgha_verify",
            &format!("SET ROLE pgha_verify;\n{};\n", pgha_verify::workload::TABLE),
        )
        .await?;
        let endpoint = |hosts| Endpoint {
            hosts,
            name: "pgha_verify".to_owned(),
            password: password.clone(),
            ca: self.ca.clone(),
        };
        let inside = match scenario.has_inside() {
            // Directly to the leader's PostgreSQL, through the operator's own connection, which no
            // fault cuts.
            true => {
                let tunnel = link.session.tunnel(5432).await?;
                Some((endpoint(vec![tunnel.address]), tunnel))
            }
            false => None,
        };
        Ok(Prepared { scenario, outside: endpoint(self.hosts(scenario, &leader)), inside, leader })
    }

    /// Every HAProxy except the victim's: outside clients are on the side that survives. A roll has
    /// no such side.
    fn hosts(&self, scenario: Scenario, leader: &Node) -> Vec<SocketAddr> {
        let port = self.workspace.cluster.haproxy.primary_port;
        let every = scenario == Scenario::Roll;
        // A single HAProxy is the only way in, wherever it is.
        let every = every || self.workspace.cluster.nodes_with(Role::Haproxy).count() == 1;
        let proxies = self
            .workspace
            .cluster
            .nodes_with(Role::Haproxy)
            .filter(|node| every || node.name != leader.name);
        proxies.map(|node| SocketAddr::from((node.address, port))).collect()
    }

    /// Ends the faults that a killed run has left. If there is none, or no answer, nothing happens.
    async fn end_every_fault(&self) {
        for (scenario, node) in Scenario::EVERY
            .into_iter()
            .flat_map(|s| self.workspace.cluster.nodes.iter().map(move |n| (s, n)))
        {
            let _ = fault::heal(scenario, self.workspace, self.fleet, node).await;
        }
    }

    /// The run itself.
    pub(super) async fn play(&self, prepared: &Prepared) -> Result<Played, Failure> {
        let (scenario, leader) = (prepared.scenario, &prepared.leader);
        let inside = prepared.inside.as_ref().map(|(endpoint, _)| endpoint);
        let workload = Workload::start(&prepared.outside, WRITERS, inside)
            .map_err(|error| Failure::broken(&error))?;
        let before = self.warm_up(&workload, prepared).await?;
        let before_fault = fault::mark(self.fleet, leader).await;
        let fault_at = workload.now();
        tracing::info!("{scenario}: breaking {} after {before} acknowledged rows", leader.name);
        *self.fault() = Some((scenario, leader.clone()));
        fault::break_it(scenario, self.workspace, self.fleet, leader).await?;
        let hold = u64::from(scenario.hold_seconds(&self.workspace.cluster));
        tokio::time::sleep(Duration::from_secs(hold)).await;
        let during = Health::observe(self.fleet).await;
        self.end_fault().await?;
        let (healed_at, healing) = (workload.now(), Instant::now());
        tracing::info!(
            "{scenario}: fault ended, {} acknowledged rows",
            workload.acknowledged(Side::Outside)
        );
        let health = self.healthy(&Gate::new(HEALTH_SECONDS, 0)).await;
        let health =
            health.map(|()| healing.elapsed().as_secs_f64()).map_err(|error| error.to_string());
        let after_fault = fault::mark(self.fleet, leader).await;
        tokio::time::sleep(COOL_DOWN).await;
        let history = workload.stop(fault_at, healed_at).await;
        let rows = prepared.outside.rows().await.map_err(|error| error.to_string());
        let took_effect =
            fault::took_effect(scenario, leader, &during, before_fault != after_fault);
        Ok(Played { history, rows, health, took_effect })
    }

    /// Returns the number of rows acknowledged before anything is broken. Fails if either side has
    /// none: the run would prove nothing.
    async fn warm_up(&self, workload: &Workload, prepared: &Prepared) -> Result<usize, Failure> {
        tokio::time::sleep(WARM_UP).await;
        let outside = workload.acknowledged(Side::Outside);
        let inside_is_silent =
            prepared.inside.is_some() && workload.acknowledged(Side::Inside) == 0;
        if outside == 0 || inside_is_silent {
            let who = if inside_is_silent { "beside the leader" } else { "outside" };
            return Err(Failure::no(format!(
                "no write of a client {who} was acknowledged before the fault"
            ))
            .hint("see `pgha status`, and try `pgha psql`"));
        }
        let leader = &prepared.leader.name;
        if switchover::leader(self.workspace, self.fleet).await? != *leader {
            let why = format!("{leader} lost the leadership before anything was broken");
            return Err(Failure::no(why).hint("run it again"));
        }
        Ok(outside)
    }

    /// Ends the fault under way, if there is one.
    pub(super) async fn end_fault(&self) -> Result<(), Failure> {
        let fault = self.fault().clone();
        if let Some((scenario, victim)) = fault {
            fault::heal(scenario, self.workspace, self.fleet, &victim).await?;
        }
        *self.fault() = None;
        Ok(())
    }

    fn fault(&self) -> MutexGuard<'_, Option<(Scenario, Node)>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn healthy(&self, gate: &Gate) -> Result<(), GateError> {
        gate::healthy(&self.workspace.provider, self.fleet, &self.workspace.cluster, gate)
            .await
            .map(drop)
    }
}

/// Sets the verifier, not the password: the server's log may show statements.
fn fresh_database(password: &str) -> String {
    let verifier = secrets::scram_verifier(password);
    format!(
        "DROP DATABASE IF EXISTS pgha_verify WITH (FORCE);\n\
         SELECT 'CREATE ROLE pgha_verify LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgha_verify') \\gexec\n\
         ALTER ROLE pgha_verify PASSWORD '{verifier}';\n\
         CREATE DATABASE pgha_verify OWNER pgha_verify;\n"
    )
}
