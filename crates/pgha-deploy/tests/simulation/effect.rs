//! What a request to Patroni does, once it is done: at once, or long after whoever asked is gone.

use std::fmt;

use pgha_core::Dynamic;

use crate::state::{Damage, State, max_connections};

/// A request that changes something.
#[derive(Debug, Clone)]
pub(crate) enum Effect {
    SetConfig(Dynamic),
    Switchover { from: String, to: String },
    Restart(String),
    Reclone(String),
    RejoinEtcd(String),
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetConfig(config) => {
                write!(f, "max_connections becomes {}", max_connections(config))
            }
            Self::Switchover { from, to } => write!(f, "switchover from {from} to {to}"),
            Self::Restart(name) => write!(f, "restart of {name}"),
            Self::Reclone(name) => write!(f, "{name} is copied anew"),
            Self::RejoinEtcd(name) => write!(f, "etcd of {name} joins again"),
        }
    }
}

impl Effect {
    /// Gives what Patroni answers: whether something was done, or why it is refused.
    pub(crate) fn happen(self, state: &mut State) -> Result<bool, &'static str> {
        match self {
            Self::SetConfig(_) if !state.has_quorum() => Err("no quorum"),
            Self::SetConfig(config) => {
                state.dynamic = config;
                Ok(true)
            }
            Self::Switchover { from, to } => {
                let candidate = |name: &String| {
                    let fits = !state.strict || state.synchronous.as_ref() == Some(name);
                    fits && state.has_all(name) && !state.leads(name)
                };
                let candidate =
                    Some(to).filter(candidate).filter(|_| state.leads(&from) && state.has_quorum());
                state.leader = Some(candidate.ok_or("no candidate")?);
                state.turn();
                Ok(true)
            }
            Self::Reclone(name) if state.leads(&name) => Err("a leader"),
            Self::Reclone(_) if state.leader.is_none() => Err("nobody to copy from"),
            Self::Reclone(name) => {
                state.repair(&name, Damage::Copy);
                state.copy(&name);
                Ok(true)
            }
            Self::RejoinEtcd(_) if !state.has_quorum() => Err("no quorum"),
            Self::RejoinEtcd(name) => {
                state.repair(&name, Damage::Member);
                Ok(true)
            }
            Self::Restart(name) if !state.runs(&name) => Err("not running"),
            Self::Restart(name) if !state.waits(&name) => Ok(false),
            Self::Restart(name) => {
                state.start(&name);
                state.turn();
                Ok(true)
            }
        }
    }
}
