//! The systemd units of a node: a daemon that crashes again and again answers well in between.

use std::collections::BTreeMap;

use pgha_platform::ssh::Session;
use serde::Deserialize;

use crate::fleet::NodeError;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// systemd's word: `active`, `activating`, `failed`, ...
    pub state: String,
    /// How often systemd has restarted it by itself since the node booted.
    pub restarts: u32,
}

impl Unit {
    /// Whether it runs, or did what it had to do once.
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// Whether systemd gave it up. Daemons are restarted for ever; this is a seed or a volume that
    /// was refused.
    pub fn has_failed(&self) -> bool {
        self.state == "failed"
    }
}

/// By unit name.
pub type Units = BTreeMap<String, Unit>;

/// The part of a node's `contract.json` that names its units.
#[derive(Deserialize)]
struct Contract {
    units: Vec<String>,
}

/// The units that the image of the node behind `session` promises to run.
///
/// # Errors
/// When it does not answer, or its contract makes no sense.
pub(crate) async fn promised(session: &Session) -> Result<Vec<String>, NodeError> {
    let text = session.run(&["cat", "/etc/pgha/contract.json"], b"").await?;
    let contract = serde_json::from_str::<Contract>(&text)
        .map_err(|error| NodeError::Contract(session.address(), error))?;
    Ok(contract.units)
}

/// What the node behind `session` says of `names`.
///
/// # Errors
/// When it does not answer.
pub(crate) async fn units(session: &Session, names: &[String]) -> Result<Units, NodeError> {
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let show = [&["systemctl", "show", "--property=ActiveState,NRestarts"][..], &names].concat();
    Ok(parse(&session.answer(&show).await?, &names))
}

/// systemctl prints a paragraph for each unit, in the order they were asked for; one that does not
/// exist is `inactive`.
fn parse(text: &str, names: &[&str]) -> Units {
    let value = |paragraph: &str, key: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned()
    };
    let unit = |paragraph| Unit {
        state: value(paragraph, "ActiveState="),
        restarts: value(paragraph, "NRestarts=").parse().unwrap_or(0),
    };
    names.iter().map(|name| (*name).to_owned()).zip(text.split("\n\n").map(unit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_systemctl_writes() {
        let text = "NRestarts=3\nActiveState=activating\n\nActiveState=inactive\n\nNRestarts=0\nActiveState=active\n";
        let units = parse(text, &["etcd.service", "pgha-guard.service", "haproxy.service"]);
        assert_eq!(units["etcd.service"], Unit { state: "activating".into(), restarts: 3 });
        assert!(!units["pgha-guard.service"].is_active() && units["haproxy.service"].is_active());
    }
}
