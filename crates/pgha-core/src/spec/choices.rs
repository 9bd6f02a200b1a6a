//! The choices a cluster file can make by name.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal),+ $(,)? } default $default:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$item_doc])* $item),+ }

        impl Default for $name {
            fn default() -> Self { Self::$default }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$item => $text),+ })
            }
        }
    };
}

choice! {
    /// What runs on a node.
    Role {
        /// A member of the consensus store.
        Etcd = "etcd",
        /// Where clients connect: poolers, and the load balancer that knows where they lead.
        Haproxy = "haproxy",
        /// PostgreSQL under Patroni.
        Postgres = "postgres",
    } default Postgres
}

choice! {
    /// Who must have a commit before it is acknowledged.
    Durability {
        /// The primary and any one replica. With both replicas gone it goes on with one copy, and
        /// `status` says so.
        Quorum = "quorum",
        /// The primary and one replica, always: without a replica writes wait.
        Strict = "strict",
        /// The primary alone. A failover can lose acknowledged commits.
        Async = "async",
    } default Quorum
}

impl Durability {
    /// Whether commits go on at once when one of so many replicas is stopped. If not, they wait
    /// until Patroni has chosen another, or under quorum none.
    pub fn bears_a_stopped_replica(self, replicas: usize) -> bool {
        match self {
            Self::Quorum => replicas > 1,
            Self::Strict => false,
            Self::Async => true,
        }
    }
}

choice! {
    /// A consistent set of timings.
    Preset {
        /// Writes stop at most 29 s when the leader is lost. For nodes close to each other on quiet
        /// machines.
        Fast = "fast",
        /// Writes stop at most 42 s when the leader is lost.
        Normal = "normal",
        /// Writes stop at most 82 s when the leader is lost. For nodes far apart or noisy machines.
        Wide = "wide",
    } default Normal
}

choice! {
    /// When PgBouncer gives a server connection back to the pool.
    PoolMode {
        /// When the client disconnects. Everything PostgreSQL offers works.
        Session = "session",
        /// After each transaction.
        Transaction = "transaction",
    } default Session
}

choice! {
    /// Operating system of the node images.
    Base {
        /// Debian 13, built with mmdebstrap.
        Debian = "debian",
        /// NixOS, built by `nix` from the rendered flake. For machines only: local nodes boot the
        /// Debian base.
        Nixos = "nixos",
    } default Debian
}

choice! {
    /// Where nodes run.
    ProviderKind {
        /// systemd-nspawn containers on this machine.
        Local = "local",
    } default Local
}
