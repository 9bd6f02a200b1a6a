//! A command that a node runs after a while, unless it is cancelled. It ends a state that pgha made, in case pgha dies.

use std::time::Duration;

use pgha_platform::ssh::{Session, SshError};

/// A transient timer of systemd.
pub(super) struct Timer {
    /// Name of its units.
    pub(super) name: &'static str,
    /// When it runs.
    pub(super) after: Duration,
    /// What it runs.
    pub(super) command: Vec<String>,
}

impl Timer {
    /// Starts it. If it runs already, it starts from the beginning.
    pub(super) async fn start(&self, session: &Session) -> Result<(), SshError> {
        self.stop(session).await?;
        let after = format!("--on-active={}", self.after.as_secs_f64());
        let run = ["systemd-run", "--quiet", "--collect", "--unit", self.name, &after];
        // systemd's default accuracy is a minute.
        let exact = "--timer-property=AccuracySec=100ms";
        let command = self.command.iter().map(String::as_str).collect::<Vec<_>>();
        session.run(&[&run[..], &[exact], &command].concat(), b"").await.map(drop)
    }

    /// Stops it. It is no error if it does not exist.
    pub(super) async fn stop(&self, session: &Session) -> Result<(), SshError> {
        let units = ["timer", "service"].map(|kind| format!("{}.{kind}", self.name));
        session.output(&["systemctl", "stop", &units[0], &units[1]], b"").await.map(drop)
    }
}
