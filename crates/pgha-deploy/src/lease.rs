//! Only one operator at a time: a key in the cluster's own etcd names the operator at work, and
//! vanishes with its lease.
//!
//! The provider's lock keeps two pghas on one machine apart. This lease keeps two pghas on
//! different machines apart.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pgha_core::cluster::Role;
use pgha_platform::clock;
use pgha_platform::command::shortened;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fleet::{Fleet, Link};
use crate::node_error::NodeError;

/// etcd, as far as a lease needs it.
pub trait Store: Sync {
    /// Calls a method of etcd's v3 API on the first member that answers. It is named as in the JSON gateway, for example `kv/txn`.
    ///
    /// # Errors
    /// When none does.
    fn call(
        &self,
        method: &str,
        body: &Value,
    ) -> impl Future<Output = Result<Value, NodeError>> + Send;
}

impl Store for Fleet {
    async fn call(&self, method: &str, body: &Value) -> Result<Value, NodeError> {
        let ask = |link: Arc<Link>| async move { link.etcd()?.call(method, body).await };
        self.first_answer(Role::Etcd, ask).await
    }
}

/// After this time another pgha may take over from one that vanished.
pub const TTL: Duration = Duration::from_secs(30);

/// Ends once the machine has slept for so long that the lease may have run out. While the machine
/// sleeps, its timers stand still and etcd keeps counting. It wakes no task, so it must be polled
/// before any other work.
async fn machine_slept() {
    let before = clock::slept();
    let check = |_: &mut Context<'_>| match clock::slept().saturating_sub(before) > TTL / 3 {
        true => Poll::Ready(()),
        false => Poll::Pending,
    };
    poll_fn(check).await;
}

/// The operator at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Name of the machine pgha runs on.
    pub machine: String,
    /// Identifier of that machine's boot, because two machines may share a name.
    pub boot: String,
    /// Its process ID there.
    pub process: u32,
    /// What it does.
    pub purpose: String,
    /// Since when, in RFC 3339.
    pub since: String,
}

impl Holder {
    /// This process.
    pub fn this(purpose: &str) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Self {
            machine: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            process: std::process::id(),
            purpose: purpose.to_owned(),
            since: clock::now(),
        }
    }

    /// Shortens the texts: what etcd holds may be longer than anyone would read.
    fn shortened(self) -> Self {
        let short = |text: String| shortened(&text, 100);
        Self {
            machine: short(self.machine),
            purpose: short(self.purpose),
            since: short(self.since),
            ..self
        }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another operator is at work.
    #[error("`{}` (process {}) on {} works on this cluster since {}", .0.purpose, .0.process, .0.machine, .0.since)]
    Held(Box<Holder>),
    /// etcd did not answer, or not what was expected.
    #[error(transparent)]
    Node(#[from] NodeError),
}

/// A held lease. It lasts while [`Lease::keep_alive`] is polled.
pub struct Lease<'s, S> {
    store: &'s S,
    id: String,
    /// When it was asked for, so before etcd began to count.
    asked: Instant,
}

impl<'s, S: Store> Lease<'s, S> {
    /// Takes the lease. The caller holds the provider's lock, so a holder on this machine must be a
    /// pgha that was killed. It is replaced at once.
    ///
    /// # Errors
    /// [`LeaseError::Held`] when another machine has it; otherwise when no etcd member answers.
    pub async fn acquire(store: &'s S, cluster: &str, this: &Holder) -> Result<Self, LeaseError> {
        let (asked, ttl) = (Instant::now(), json!({ "TTL": TTL.as_secs().to_string() }));
        let granted = store.call("lease/grant", &ttl).await?;
        let id = granted["ID"].as_str().unwrap_or_default().to_owned();
        let lease = Self { store, id, asked };
        match lease.claim(cluster, this).await {
            Ok(None) => Ok(lease),
            Ok(Some(holder)) => {
                lease.release().await;
                Err(LeaseError::Held(Box::new(holder)))
            }
            // The key may have been put and only the answer lost. It ends with its lease.
            Err(error) => {
                lease.release().await;
                Err(error.into())
            }
        }
    }

    /// Puts the key, unless another operator has it. Then returns that holder.
    async fn claim(&self, cluster: &str, this: &Holder) -> Result<Option<Holder>, NodeError> {
        let key = STANDARD.encode(format!("/pgha/{cluster}/operator"));
        let put = json!({ "requestPut": { "key": key, "value": STANDARD.encode(json!(this).to_string()), "lease": self.id } });
        let mut found = put_if(self.store, &key, "0", &put).await?;
        if let Some(entry) = found.as_ref().filter(|entry| entry.is_left_over(this)) {
            found = put_if(self.store, &key, &entry.revision, &put).await?;
        }
        // The holder is this process if a member stored the entry and its answer was lost.
        Ok(found.map(|entry| entry.holder).filter(|holder| holder != this))
    }

    /// Renews the lease. Ends only when it may have run out: this process or its machine was
    /// suspended, or did not reach etcd for too long. Another operator may be at work then, and the
    /// plan is no longer valid.
    pub async fn keep_alive(&self) {
        tokio::select! {
            biased;
            () = machine_slept() => {}
            () = self.renew() => {}
        }
    }

    async fn renew(&self) {
        let (mut ends, mut pause) = (self.asked + TTL, TTL / 3);
        loop {
            tokio::time::sleep_until((Instant::now() + pause).min(ends)).await;
            let (asked, body) = (Instant::now(), json!({ "ID": self.id }));
            let renewal = self.store.call("lease/keepalive", &body);
            match tokio::time::timeout_at(ends, renewal).await {
                Err(_) => return,
                // etcd also answers for a lease that has run out, but without the seconds it has
                // left.
                Ok(Ok(answer)) if answer["result"]["TTL"].is_null() => return,
                Ok(Ok(_)) => (ends, pause) = (asked + TTL, TTL / 3),
                Ok(Err(error)) => {
                    tracing::debug!("the operator's lease was not renewed: {error}");
                    pause = Duration::from_secs(1);
                }
            }
        }
    }

    /// Gives the lease back. If etcd does not answer, the lease ends by itself.
    pub async fn release(self) {
        let _ = self.store.call("lease/revoke", &json!({ "ID": self.id })).await;
    }
}

/// What the key holds.
struct Entry {
    holder: Holder,
    revision: String,
    /// Whether it ends with a lease. pgha never puts one without.
    leased: bool,
}

impl Entry {
    /// `found`: a `kvs` entry of etcd's answer.
    fn read(found: &Value) -> Self {
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        let value = STANDARD.decode(text("value")).unwrap_or_default();
        let holder = serde_json::from_slice(&value).map(Holder::shortened);
        let holder = holder.unwrap_or_else(|_| Holder {
            boot: String::new(),
            machine: "another machine".to_owned(),
            ..Holder::this("an unknown pgha")
        });
        let leased = !matches!(text("lease"), "" | "0");
        Self { holder, revision: text("mod_revision").to_owned(), leased }
    }

    /// Whether no operator is at work. Either this machine's own pgha was killed, or the key was
    /// put by hand, without a lease that would end it.
    fn is_left_over(&self, this: &Holder) -> bool {
        if !self.leased {
            tracing::warn!(
                "the operator's key in etcd had no lease, so nobody is at work: taken over"
            );
        }
        !self.leased || self.holder.boot == this.boot
    }
}

/// Puts the key if its last change was `revision` ("0": it does not exist). Otherwise returns what
/// it holds.
async fn put_if<S: Store>(
    store: &S,
    key: &str,
    revision: &str,
    put: &Value,
) -> Result<Option<Entry>, NodeError> {
    let compare =
        json!([{ "key": key, "target": "MOD", "result": "EQUAL", "modRevision": revision }]);
    let look = json!([{ "requestRange": { "key": key } }]);
    let body = json!({ "compare": compare, "success": [put], "failure": look });
    let answer = store.call("kv/txn", &body).await?;
    if answer["succeeded"] == true {
        return Ok(None);
    }
    Ok(Some(Entry::read(&answer["responses"][0]["response_range"]["kvs"][0])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As etcd's gateway writes it: numbers as text, and no field if there is no lease.
    fn entry(holder: &Value, lease: Option<&str>) -> Entry {
        let mut found =
            json!({ "value": STANDARD.encode(holder.to_string()), "mod_revision": "7" });
        if let Some(lease) = lease {
            found["lease"] = json!(lease);
        }
        Entry::read(&found)
    }

    #[test]
    fn only_a_key_that_ends_by_itself_is_held_by_another_machine() {
        let this = Holder::this("a test");
        let other = json!(Holder { boot: "another".to_owned(), ..this.clone() });
        assert!(!entry(&other, Some("42")).is_left_over(&this));
        assert!(entry(&other, None).is_left_over(&this));
        assert!(entry(&other, Some("0")).is_left_over(&this));
        assert!(entry(&json!(this), Some("42")).is_left_over(&this));
        assert!(!entry(&json!("junk"), Some("42")).is_left_over(&this));
        assert_eq!(entry(&json!("junk"), None).revision, "7");
    }

    #[test]
    fn of_a_long_holder_only_the_beginning_is_shown() {
        let long = Holder::this(&"x".repeat(1 << 20));
        assert!(
            LeaseError::Held(Box::new(entry(&json!(long), Some("1")).holder)).to_string().len()
                < 500
        );
    }
}
