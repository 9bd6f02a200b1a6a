//! What happens by itself: elections, retries, and faults.

use std::time::Duration;

use pgha_core::Digest;
use pgha_core::cluster::Role;
use pgha_core::inventory::Given;
use rand::RngExt;
use tokio::time::Instant;

use crate::state::{Damage, Flaw, Machine, State};
use crate::wish::TOO_MANY;

/// Seconds until another node leads after the leader vanished.
const FAILOVER: Duration = Duration::from_secs(25);

impl State {
    /// Lets go on what goes on by itself.
    pub(crate) fn turn(&mut self) {
        let now = Instant::now();
        let due = |(when, _): &mut (Instant, _)| *when <= now;
        for (_, effect) in self.under_way.extract_if(.., due).collect::<Vec<_>>() {
            self.tell(format!("late: {effect}"));
            // Nobody hears the answer.
            let _ = effect.happen(self);
        }
        self.start_again();
        self.elect();
        let serves = |state: &Self, name: &String| state.has_all(name) && !state.leads(name);
        if self.leader.is_some() && !self.synchronous.as_ref().is_some_and(|s| serves(self, s)) {
            let next = self.databases().find(|name| serves(self, name)).cloned();
            self.synchronous = next;
        }
    }

    /// Patroni tries again to start what did not start.
    fn start_again(&mut self) {
        let stuck = |(_, machine): &(&String, &crate::state::Machine)| machine.runs_with.is_none();
        let stuck = self.machines.iter().filter(stuck).map(|(name, _)| name.clone());
        for name in stuck.collect::<Vec<_>>() {
            if self.is_up(&name) && self.max_connections() != TOO_MANY {
                self.start(&name);
            }
        }
    }

    fn elect(&mut self) {
        let lost = self.leader.clone().filter(|leader| !self.runs(leader));
        if let Some(leader) = lost {
            self.tell(format!("{leader} leads no more"));
            self.leader = None;
            self.led_last = Some(leader);
            self.leaderless_since = Instant::now();
        }
        if self.leader.is_none() && self.has_quorum() && self.leaderless_since.elapsed() >= FAILOVER
        {
            let last = self.led_last.clone().filter(|last| self.runs(last));
            self.leader = self.candidate(None).or(last);
            self.tell(format!("{:?} was elected", self.leader));
        }
    }

    /// Who may lead in place of `leader`: only one that has every row, and under strict only the
    /// synchronous replica.
    pub(crate) fn candidate(&self, leader: Option<&str>) -> Option<String> {
        let now = Instant::now();
        let may = |name: &&String| {
            Some(name.as_str()) != leader
                && self.machines[*name].behind_until <= now
                && (!self.strict || self.synchronous.as_ref() == Some(*name))
        };
        self.databases().find(may).cloned()
    }

    /// Breaks something now and then.
    pub(crate) fn weather(&mut self) {
        if !self.calm && Instant::now() >= self.next_fault {
            self.fault();
            let seconds = self.rng.random_range(0..2 * self.fault_every);
            self.next_fault = Instant::now() + Duration::from_secs(seconds);
        }
        self.turn();
    }

    fn fault(&mut self) {
        let index = self.rng.random_range(0..self.machines.len());
        let name = self.machines.keys().nth(index).cloned().expect("a node");
        let until = Instant::now() + Duration::from_secs(self.rng.random_range(1..60));
        let kind = self.rng.random_range(0..14);
        self.tell(format!("fault {kind} of {name}"));
        match kind {
            0 => self.machine(&name).on = false,
            1..=4 => self.boot(&name),
            5 | 6 => self.machine(&name).cut_off_until = until,
            7 => self.machine(&name).behind_until = until,
            8 => self.power_cut(),
            9 => self.damage(&name, Damage::Copy),
            10 => self.damage(&name, Damage::Member),
            11 => self.damage(&name, Damage::Login),
            // The leader is slow for a moment: another takes over.
            _ => {
                self.leader = self.candidate(self.leader.as_deref()).or(self.leader.take());
                self.tell(format!("{:?} leads", self.leader));
            }
        }
    }

    /// None that leads or alone may, and only where nothing else is amiss for good, or on its way: beside a bad image
    /// it would cost etcd's quorum or the last copy, and that no plan brings back.
    fn damage(&mut self, name: &str, what: Damage) {
        let is_candidate = self.strict && self.synchronous.as_deref() == Some(name);
        let holds = match what {
            Damage::Copy if self.leads(name) || is_candidate => false,
            Damage::Copy => self.machines[name].roles.has(Role::Postgres),
            Damage::Member => self.machines[name].roles.has(Role::Etcd),
            Damage::Login => true,
        };
        let is_sound = |machine: &Machine| {
            let image = self.flaws.contains_key(&machine.server.given.image);
            !image && machine.flaws.is_empty() && machine.damaged.is_none()
        };
        if holds && self.busy.is_empty() && self.machines.values().all(is_sound) {
            self.machine(name).damaged = Some(what);
            self.tell(format!("{what:?} of {name} is damaged"));
            self.start(name);
        }
    }

    pub(crate) fn repair(&mut self, name: &str, what: Damage) {
        let machine = self.machine(name);
        machine.damaged.take_if(|damage| *damage == what);
    }

    /// It takes up to a quarter of an hour, and begins anew with every boot.
    pub(crate) fn copy(&mut self, name: &str) {
        let seconds = self.rng.random_range(1..900);
        self.machine(name).copied_until = Instant::now() + Duration::from_secs(seconds);
        self.start(name);
    }

    /// All that store lose their power, and at times all others.
    fn power_cut(&mut self) {
        let all = self.rng.random_bool(0.5);
        for machine in self.machines.values_mut() {
            machine.on &= !all && !machine.roles.has(Role::Etcd);
        }
    }

    /// A machine begins to boot, whatever it did before.
    pub(crate) fn boot(&mut self, name: &str) {
        let joins_after = Duration::from_secs(self.rng.random_range(2..20));
        let Given { image, seed } = self.machines[name].server.given.clone();
        let flaws = [&image, &seed].into_iter().filter_map(|given| self.flaws.get(given));
        let flaws = flaws.cloned().collect();
        let machine = self.machine(name);
        (machine.on, machine.booted, machine.joins_after) = (true, Instant::now(), joins_after);
        machine.flaws = flaws;
        self.repair(name, Damage::Login);
        let machine = self.machine(name);
        match machine.copied_until > Instant::now() {
            true => self.copy(name),
            false => self.start(name),
        }
        self.tell(format!("{name} boots {}", image.short()));
    }

    /// Something new is flawed at times. What costs a copy shows itself while its gate holds: what
    /// came later could be rolled through the whole cluster before it did.
    pub(crate) fn perhaps_flawed(&mut self, digests: Vec<Digest>) {
        if !self.rng.random_bool(0.3) {
            return;
        }
        let flaw = match self.rng.random_range(0..5) {
            0 => Flaw::Silent,
            1 | 2 => Flaw::Copy(self.within(4)),
            3 => Flaw::Service(self.within(300)),
            _ => Flaw::Flaps(self.within(300)),
        };
        self.flawed(digests, &flaw);
    }

    /// Something new has a flaw that shows itself at its gate.
    pub(crate) fn surely_flawed(&mut self, digests: Vec<Digest>) {
        let flaw = match self.rng.random_range(0..3) {
            0 => Flaw::Silent,
            1 => Flaw::Copy(self.within(4)),
            _ => Flaw::Service(self.within(4)),
        };
        self.flawed(digests, &flaw);
    }

    fn flawed(&mut self, digests: Vec<Digest>, flaw: &Flaw) {
        self.flaws.extend(digests.into_iter().map(|digest| (digest, flaw.clone())));
    }

    fn within(&mut self, seconds: u64) -> Duration {
        Duration::from_secs(self.rng.random_range(0..seconds))
    }
}
