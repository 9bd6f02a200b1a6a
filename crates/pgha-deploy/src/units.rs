//! The systemd units of a node: a daemon that crashes again and again answers well in between.

use std::collections::BTreeMap;

use pgha_platform::ssh::Session;
use serde::Serialize;

use crate::fleet::NodeError;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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

    /// Whether systemd gave it up. Daemons are restarted for ever; this is a seed or a volume that was refused.
    pub fn has_failed(&self) -> bool {
        self.state == "failed"
    }
}

/// By unit name.
pub type Units = BTreeMap<String, Unit>;

/// What the node behind `session` says of `names`. A unit that its image does not have is left out: the image may be older
/// than the cluster file.
///
/// # Errors
/// When it does not answer.
pub async fn units(session: &Session, names: &[&str]) -> Result<Units, NodeError> {
    let show = [&["systemctl", "show", "--property=LoadState,ActiveState,NRestarts"][..], names].concat();
    Ok(parse(&session.run(&show, b"").await?, names))
}

/// systemctl prints a paragraph for each unit, in the order they were asked for.
fn parse(text: &str, names: &[&str]) -> Units {
    let value = |paragraph: &str, key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().to_owned();
    let unit = |paragraph| Unit { state: value(paragraph, "ActiveState="), restarts: value(paragraph, "NRestarts=").parse().unwrap_or(0) };
    let found = names.iter().zip(text.split("\n\n")).filter(|(_, paragraph)| value(paragraph, "LoadState=") != "not-found");
    found.map(|(name, paragraph)| ((*name).to_owned(), unit(paragraph))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_systemctl_writes() {
        let text = "NRestarts=3\nLoadState=loaded\nActiveState=activating\n\nNRestarts=0\nLoadState=not-found\nActiveState=inactive\n\nNRestarts=0\nLoadState=loaded\nActiveState=active\n";
        let units = parse(text, &["etcd.service", "pgha-guard.service", "haproxy.service"]);
        assert_eq!(units.len(), 2);
        assert_eq!(units["etcd.service"], Unit { state: "activating".into(), restarts: 3 });
        assert!(units["haproxy.service"].is_active());
    }
}
