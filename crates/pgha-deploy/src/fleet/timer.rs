//! A command that a node carries out after a while, unless it is told not to: what ends a state that pgha made should pgha
//! die.

use std::time::Duration;

use pgha_platform::ssh::{Session, SshError};

/// A transient timer of systemd.
pub(super) struct Timer {
    /// Name of its units.
    pub(super) name: &'static str,
    /// When it is due.
    pub(super) after: Duration,
    /// What it does then.
    pub(super) command: Vec<String>,
}

impl Timer {
    /// Starts it, from the beginning where it runs already.
    pub(super) async fn start(&self, session: &Session) -> Result<(), SshError> {
        self.stop(session).await?;
        let after = format!("--on-active={}", self.after.as_secs_f64());
        let run = ["systemd-run", "--quiet", "--collect", "--unit", self.name, &after];
        // systemd's own is a minute.
        let exact = "--timer-property=AccuracySec=100ms";
        let command = self.command.iter().map(String::as_str).collect::<Vec<_>>();
        session.run(&[&run[..], &[exact], &command].concat(), b"").await.map(drop)
    }

    /// Stops it. What is not there cannot be stopped, and that is no error.
    pub(super) async fn stop(&self, session: &Session) -> Result<(), SshError> {
        let units = ["timer", "service"].map(|kind| format!("{}.{kind}", self.name));
        session.output(&["systemctl", "stop", &units[0], &units[1]], b"").await.map(drop)
    }
}
