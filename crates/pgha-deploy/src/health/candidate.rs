//! Which replica may take over from the leader.

use pgha_core::Cluster;
use pgha_core::cluster::Durability;

use super::{HEALTHY_LAG, Health, Lag, mebibytes};
use crate::patroni::Member;

/// Bytes of WAL that a candidate may still have to replay. A slow disk takes a second for them, and
/// writes stop meanwhile.
const PROMPT_REPLAY: u64 = 16 << 20;

/// A replica that may take over. Only [`Health::candidate`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate(String);

impl Candidate {
    /// Its node.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Health {
    /// The replica that takes over: `wanted`, or the one with the least to replay.
    ///
    /// # Errors
    /// Why, if that replica, or every replica, would lose rows or make writers wait.
    pub fn candidate(&self, cluster: &Cluster, wanted: Option<&str>) -> Result<Candidate, String> {
        let members = self.view().map_or(&[][..], |view| &view.members).iter();
        let asked = members.filter(|member| match wanted {
            Some(wanted) => member.name == wanted,
            None => !member.is_leader(),
        });
        let (mut able, mut reasons) = (Vec::new(), Vec::new());
        for member in asked {
            match self.cannot_lead(cluster, member) {
                None => able.push(member),
                Some(why) => reasons.push(format!("{} {why}", member.name)),
            }
        }
        let to_replay = |member: &&&Member| self.lag(member).map(|lag| lag.replayed);
        let candidate =
            able.iter().min_by_key(to_replay).map(|member| Candidate(member.name.clone()));
        let nobody = || format!("{} is no replica", wanted.unwrap_or("nobody"));
        let why = || if reasons.is_empty() { nobody() } else { reasons.join(", ") };
        candidate.ok_or_else(why)
    }

    /// Why a member may not become the leader: rows would be lost, or writers would wait for it.
    fn cannot_lead(&self, cluster: &Cluster, member: &Member) -> Option<String> {
        let Some(lag) = self.lag(member).filter(|_| member.is_streaming()) else {
            return Some("does not follow the leader".to_owned());
        };
        let waited_for = cluster.durability == Durability::Async || member.is_synchronous();
        match lag {
            _ if !waited_for => Some("is not synchronous".to_owned()),
            Lag { received, .. } if received > HEALTHY_LAG => {
                Some(format!("lacks {}", mebibytes(received)))
            }
            Lag { replayed, .. } if replayed > PROMPT_REPLAY => {
                Some(format!("has {} to replay", mebibytes(replayed)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::NodeHealth;

    #[test]
    fn only_a_replica_that_follows_closely_and_is_waited_for_can_lead() {
        let text = include_str!("../../../../tests/clusters/minimal.toml");
        let (cluster, _) = Cluster::parse(text).expect("a cluster");
        let can_lead = |role: &str, state: &str, lag: u64| {
            let member = serde_json::json!({ "name": "b", "role": role, "state": state, "receive_lag": 0, "replay_lag": lag });
            let view = serde_json::from_value(serde_json::json!({ "members": [member] })).ok();
            let node = NodeHealth { view, ..NodeHealth::default() };
            Health { nodes: [("b".to_owned(), node)].into() }.candidate(&cluster, Some("b")).is_ok()
        };
        assert!(can_lead("quorum_standby", "streaming", PROMPT_REPLAY));
        assert!(!can_lead("replica", "streaming", 0));
        assert!(!can_lead("quorum_standby", "running", 0));
        assert!(!can_lead("quorum_standby", "streaming", PROMPT_REPLAY + 1));
    }
}
