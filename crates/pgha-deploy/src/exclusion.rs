//! Only one operator at a time. The provider's lock keeps out others on this machine, and a lease in the cluster's etcd those on other
//! machines.

use pgha_platform::{Provider, ProviderError, clock};

use crate::lease::{Holder, Lease, LeaseError, Store, TTL};
use crate::node_error::NodeError;
use crate::observe;

/// What to do when etcd grants no lease, so that a pgha on another machine goes unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unguarded {
    /// Do nothing: two operators at once could stop one node too many.
    Refuse,
    /// Work anyway: it may be what brings etcd back.
    GoOn,
}

/// Why the work was not done, or not completed.
#[derive(Debug, thiserror::Error)]
pub enum ExclusionError {
    /// The provider's lock is held, or its servers cannot be listed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Another machine is at work.
    #[error("{0}")]
    Held(LeaseError),
    /// etcd granted no lease, so other operators could not be kept out.
    #[error(
        "etcd grants no lease now, so another operator could change the cluster at the same time"
    )]
    NoLease(#[source] NodeError),
    /// The lease ran out, and the work stopped where it was.
    #[error(
        "stopped: this pgha was suspended or did not reach etcd for {} s, and its lease ran out",
        TTL.as_secs()
    )]
    LeaseExpired,
}

/// Keeps other operators from working on a cluster.
pub struct Exclusion<'e, P, S> {
    /// The provider, for its lock.
    pub provider: &'e P,
    /// The cluster's etcd.
    pub store: &'e S,
    /// Name of the cluster.
    pub cluster: &'e str,
    /// This operator, as the lease names it.
    pub holder: Holder,
}

impl<'e, P: Provider, S: Store> Exclusion<'e, P, S> {
    /// Does `work` while no other operator works on the cluster.
    ///
    /// # Errors
    /// When another operator is at work, when `unguarded` refuses to work without a lease, and when
    /// the lease ran out.
    pub async fn hold<T>(
        &self,
        unguarded: Unguarded,
        work: impl Future<Output = T>,
    ) -> Result<T, ExclusionError> {
        let _lock = self.provider.lock(&self.holder.purpose)?;
        let Some(lease) = self.lease(unguarded).await? else { return Ok(work.await) };
        tokio::select! {
            // The lease is polled first. After a suspension not one more step may run, because another operator may have overtaken the
            // plan.
            biased;
            // The work stops where it is. A later run goes on from there.
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
    /// When another operator has it, or when there is none and `unguarded` refuses to work without.
    pub async fn lease(
        &self,
        unguarded: Unguarded,
    ) -> Result<Option<Lease<'e, S>>, ExclusionError> {
        let world = observe::servers(self.provider).await?;
        // Before the cluster is formed, no other operator can know of it. While it is off, it
        // cannot keep a lease.
        if !world.servers.iter().any(|server| server.formed && server.running) {
            return Ok(None);
        }
        // The time is now, not when the user began to read the plan.
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
