//! One operator at a time: the provider's lock on this machine, and a lease in the cluster's etcd against other
//! machines.

use pgha_platform::{Provider, ProviderError, clock};

use crate::lease::{Holder, Lease, LeaseError, Store, TTL};
use crate::node_error::NodeError;
use crate::observe;

/// What is to be done when etcd keeps no lease, so that pgha on another machine is not noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unguarded {
    /// Nothing: two at once could stop one node too many.
    Refuse,
    /// All the same: it may be what brings etcd back.
    GoOn,
}

/// Why something was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The provider's lock is held, or its servers cannot be listed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Another machine is at work.
    #[error("{0}")]
    Held(LeaseError),
    /// Nobody could be kept away.
    #[error(
        "etcd grants no lease now, so another operator could change the cluster at the same time"
    )]
    NoLease(#[source] NodeError),
    /// What was under way stopped where it was.
    #[error(
        "stopped: this pgha was suspended or did not reach etcd for {} s, and its lease ran out",
        TTL.as_secs()
    )]
    LeaseExpired,
}

/// What keeps others from working on a cluster.
pub struct Exclusion<'e, P, S> {
    /// Its lock.
    pub provider: &'e P,
    /// The cluster's etcd.
    pub store: &'e S,
    /// Name of the cluster.
    pub cluster: &'e str,
    /// Who keeps them.
    pub holder: Holder,
}

impl<'e, P: Provider, S: Store> Exclusion<'e, P, S> {
    /// Does `work` while nobody else works on the cluster.
    ///
    /// # Errors
    /// When somebody does, when nothing is to be done without a lease, and when that ran out.
    pub async fn hold<T>(
        &self,
        unguarded: Unguarded,
        work: impl Future<Output = T>,
    ) -> Result<T, ExclusionError> {
        let _lock = self.provider.lock(&self.holder.purpose)?;
        let Some(lease) = self.lease(unguarded).await? else { return Ok(work.await) };
        tokio::select! {
            // The lease first: after a suspension not one more step may be done on a plan that another
            // may have overtaken.
            biased;
            // What is under way stops where it is; a later run goes on from there.
            () = lease.keep_alive() => Err(ExclusionError::LeaseExpired),
            result = work => {
                lease.release().await;
                Ok(result)
            }
        }
    }

    /// The lease, if the cluster is up enough to keep one.
    ///
    /// # Errors
    /// When somebody else has it, or nothing is to be done without it.
    pub async fn lease(
        &self,
        unguarded: Unguarded,
    ) -> Result<Option<Lease<'e, S>>, ExclusionError> {
        let world = observe::servers(self.provider).await?;
        // Before it is formed nobody else can know of it; while it is off it cannot keep a lease.
        if !world.servers.iter().any(|server| server.formed && server.running) {
            return Ok(None);
        }
        // Not since somebody began to read the plan.
        let holder = Holder { since: clock::now(), ..self.holder.clone() };
        match Lease::acquire(self.store, self.cluster, &holder).await {
            Ok(lease) => Ok(Some(lease)),
            Err(held @ LeaseError::Held(_)) => Err(ExclusionError::Held(held)),
            Err(LeaseError::Node(error)) if unguarded == Unguarded::Refuse => {
                Err(ExclusionError::NoLease(error))
            }
            Err(LeaseError::Node(error)) => {
                tracing::warn!(
                    "etcd grants no lease now, so pgha on another machine would not be noticed: {error}"
                );
                Ok(None)
            }
        }
    }
}
