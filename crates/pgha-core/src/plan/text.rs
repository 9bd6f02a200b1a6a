//! The plan as people read it.

use std::fmt;

use super::{Action, Cost, Plan, Step};

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
        let what = self.action.to_string();
        match self.cost {
            Cost::None => f.write_str(&what),
            Cost::Resources => write!(f, "{what:60} memory and disk of this machine"),
            Cost::Sessions => write!(f, "{what:60} writes: not stopped; sessions through it: cut"),
            Cost::WritesStop(seconds) => {
                write!(f, "{what:60} writes: stop for at most {seconds} s")
            }
            Cost::Data => write!(f, "{what:60} all its data"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork => write!(f, "network     the cluster's switch"),
            Self::CreateServer { node, image, .. } => {
                write!(f, "create      {node}, image {}, empty data volume", image.short())
            }
            Self::PowerOn { node } => write!(f, "power on    {node}"),
            Self::Gate(gate) => write!(
                f,
                "gate        healthy within {} s, held {} s",
                gate.within_seconds, gate.held_seconds
            ),
            Self::Declare { missing } if missing.is_empty() => {
                write!(f, "declare     missing roles, databases and extensions")
            }
            Self::Declare { missing } => write!(f, "declare     {}", missing.join(", ")),
            Self::Seal => write!(f, "seal        from now on no data volume may come up empty"),
            Self::Rebuild { node, .. } if self.gives_new().is_none() => {
                write!(f, "again       {node}, same image, same seed")
            }
            Self::Rebuild { node, from, image, .. } if from == image => {
                write!(f, "reseed      {node}, same image, new seed")
            }
            Self::Rebuild { node, from, image, .. } => {
                write!(f, "rebuild     {node}, image {} -> {}", from.short(), image.short())
            }
            Self::Revert { node, from, image } => {
                write!(f, "revert      {node}, image {} -> {}", from.short(), image.short())
            }
            Self::Switchover { from, to } => write!(
                f,
                "switchover  {from} -> {}",
                to.as_deref().unwrap_or("its synchronous replica")
            ),
            Self::SetDynamic { changes } => write!(f, "dynamic     {}", changes.join(", ")),
            Self::Restart { node } => write!(f, "restart     PostgreSQL of {node}"),
            Self::DeleteServer { node } => write!(f, "delete      {node}"),
            Self::DeleteNetwork => write!(f, "delete      the cluster's switch"),
        }
    }
}
