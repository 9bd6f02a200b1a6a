//! The operator's lease, as etcd keeps it for pghas on different machines.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::World;

const TTL: Duration = Duration::from_secs(30);

/// Who has it until when.
#[derive(Debug, Default)]
pub(crate) struct Lease(Option<(u32, Instant)>);

impl Lease {
    fn holder(&self) -> Option<u32> {
        self.0.filter(|(_, ends)| *ends > Instant::now()).map(|(holder, _)| holder)
    }

    /// Takes or renews it; `false` when another has it.
    fn take(&mut self, process: u32) -> bool {
        let free = self.holder().is_none_or(|holder| holder == process);
        if free {
            self.0 = Some((process, Instant::now() + TTL));
        }
        free
    }
}

/// What came of asking for the lease.
pub(crate) enum Asked {
    Taken,
    /// Another is at work.
    Refused,
    /// Without a quorum of etcd there is none.
    Nowhere,
}

impl World {
    pub(crate) fn ask_lease(&self, process: u32) -> Asked {
        let mut state = self.state();
        match state.has_quorum() {
            false => Asked::Nowhere,
            true if state.lease.take(process) => {
                state.tell(format!("pgha {process}: has the lease"));
                Asked::Taken
            }
            true => Asked::Refused,
        }
    }

    /// Ends once it may have run out, as `Lease::keep` of pgha does.
    pub(crate) async fn keep_lease(&self, process: u32) {
        let (mut ends, mut pause) = (Instant::now() + TTL, TTL / 3);
        loop {
            tokio::time::sleep_until((Instant::now() + pause).min(ends)).await;
            let mut state = self.state();
            match state.has_quorum() {
                _ if Instant::now() >= ends => return,
                true if state.lease.holder() != Some(process) => return,
                true if state.lease.take(process) => {
                    (ends, pause) = (Instant::now() + TTL, TTL / 3);
                }
                _ => pause = Duration::from_secs(1),
            }
        }
    }

    pub(crate) fn release_lease(&self, process: u32) {
        let mut state = self.state();
        if state.lease.holder() == Some(process) {
            state.lease = Lease::default();
        }
    }
}
