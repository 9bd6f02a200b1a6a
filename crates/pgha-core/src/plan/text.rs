//! The plan as people read it.

use std::fmt;

use super::{Action, Cost, Data, Gate, Plan, Sessions, Step};
use crate::digest::Digest;
use crate::object::Object;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan {}   cluster {}", self.fingerprint.short(), self.cluster)?;
        if self.steps.is_empty() {
            writeln!(f, " nothing to do")?;
        }
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:2} {step}", index + 1)?;
        }
        for remark in &self.remarks {
            writeln!(f, " note: {remark}")?;
        }
        if self.more_follows {
            writeln!(f, " ..  then plans again: what follows depends on how these steps end")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, cost) = (self.action.to_string(), self.cost.to_string());
        if cost.is_empty() { f.write_str(&what) } else { write!(f, "{what:60} {cost}") }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let writes = match (self.writes_stop_seconds, self.sessions_cut) {
            (0, Sessions::OfNode) if self.data != Data::Deleted => "writes: not stopped".to_owned(),
            (0, _) => String::new(),
            (seconds, _) => format!("writes: stop for at most {seconds} s"),
        };
        let sessions = match self.sessions_cut {
            Sessions::None => "",
            Sessions::OfNode => "sessions through it: cut",
            Sessions::OfWriters => "sessions that write: cut",
            Sessions::OfWritersNotHeld => {
                "sessions that write: held; long transactions, direct ones: cut"
            }
        };
        let data = match self.data {
            Data::Kept => "",
            Data::Begun => "memory and disk of this machine",
            Data::Empty => "data: none yet",
            Data::PerhapsCopiedAnew => "data: perhaps copied anew",
            Data::CopiedAnew => "data: deleted there, copied anew",
            Data::Deleted => "data: deleted for good",
        };
        let parts = [writes.as_str(), sessions, data];
        let parts = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        f.write_str(&parts.join("; "))
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "healthy within {} s, held {} s", self.within_seconds, self.held_seconds)?;
        if !self.despite.is_empty() {
            write!(f, ", but for services of {}", self.despite.join(", "))?;
        }
        if !self.proves.is_empty() {
            write!(f, "; else {} goes back", self.proves.join(" or "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<12}{}", self.verb(), self.object())
    }
}

impl Action {
    fn verb(&self) -> &'static str {
        match self {
            Self::CreateNetwork => "network",
            Self::CreateServer { .. } => "create",
            Self::Renew { .. } => "renew",
            Self::PowerOn { .. } => "power on",
            Self::Gate(_) => "gate",
            Self::Reboot { .. } => "reboot",
            Self::Start { .. } => "start",
            Self::RestartPatroni { .. } | Self::Restart { .. } => "restart",
            Self::Restore { .. } => "restore",
            Self::RejoinEtcd { .. } => "rejoin",
            Self::Reclone { .. } => "reclone",
            Self::AwaitCopy { .. } => "wait",
            Self::MakeRoom => "make room",
            Self::Declare { .. } => "declare",
            Self::Seal => "seal",
            Self::Rebuild { .. } if self.gives_new().is_none() => "again",
            Self::Rebuild { from, image, .. } if from == image => "reseed",
            Self::Rebuild { .. } => "rebuild",
            Self::Revert { .. } => "revert",
            Self::Switchover { .. } => "switchover",
            Self::SetDynamic { .. } => "dynamic",
            Self::DeleteServer { .. } | Self::DeleteNetwork => "delete",
        }
    }

    fn object(&self) -> String {
        match self {
            Self::CreateNetwork | Self::DeleteNetwork => "the cluster's switch".to_owned(),
            Self::CreateServer { node, image, .. } => {
                format!("{node}, image {}, empty data volume", image.short())
            }
            Self::Renew { node, .. } => {
                format!("{node}, whose certificates ended: same image, new seed")
            }
            Self::PowerOn { node } | Self::DeleteServer { node } => node.clone(),
            Self::Gate(gate) => gate.to_string(),
            Self::Reboot { node, why } => format!("{node}: {why}"),
            Self::Start { node, units } => format!("{node}: {}", units.join(", ")),
            Self::RestartPatroni { node, leads } => {
                format!("Patroni and PostgreSQL of {node}{}", leader(*leads))
            }
            Self::Restore { node, differs } => {
                format!("configuration of {node}: {}", some(differs))
            }
            Self::RejoinEtcd { node } => {
                format!("etcd of {node}: as a new member, copied from the others")
            }
            Self::Reclone { node, why } => format!("{node}: {why}"),
            Self::AwaitCopy { node } => format!("for the copy of {node}, while it grows"),
            Self::MakeRoom => "in etcd: compact, defragment, disarm".to_owned(),
            Self::Declare { missing } => declared(missing),
            Self::Seal => "from now on no data volume may come up empty".to_owned(),
            Self::Rebuild { node, .. } if self.gives_new().is_none() => {
                format!("{node}, same image, same seed")
            }
            Self::Rebuild { node, from, image, .. } => format!("{node}, {}", change(from, image)),
            Self::Revert { node, from, image, .. } => {
                format!("{node}, image {} -> {}", from.short(), image.short())
            }
            Self::Switchover { from, to } => {
                format!("{from} -> {}", to.as_deref().unwrap_or("its synchronous replica"))
            }
            Self::SetDynamic { changes, .. } => changes.join(", "),
            Self::Restart { node, leads } => format!("PostgreSQL of {node}{}", leader(*leads)),
        }
    }
}

fn declared(missing: &[Object]) -> String {
    if missing.is_empty() {
        return "missing roles, databases, owners and extensions".to_owned();
    }
    missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn leader(leads: bool) -> &'static str {
    if leads { " (leader)" } else { "" }
}

/// The first three of many are enough to show what it is about.
pub(super) fn some(all: &[String]) -> String {
    let (first, rest) = all.split_at(all.len().min(3));
    let rest = if rest.is_empty() { String::new() } else { format!("; {} more", rest.len()) };
    format!("{}{rest}", first.join("; "))
}

fn change(from: &Digest, image: &Digest) -> String {
    match from == image {
        true => "same image, new seed".to_owned(),
        false => format!("image {} -> {}", from.short(), image.short()),
    }
}
