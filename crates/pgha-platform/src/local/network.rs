//! The cluster's network: a bridge in a namespace of its own, one cable to the host and one to each
//! node.
//!
//! The bridge is not the host's, so neither the host's firewall nor a container engine's rules
//! touch its traffic, and deleting one namespace removes bridge, cables and packet filters
//! together.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::command::{Command, CommandError};

/// Bytes that the kernel stores of an interface's alias.
const ALIAS_BYTES: usize = 255;

/// The switch of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    /// Its network namespace.
    namespace: String,
    gateway: Ipv4Addr,
    prefix: u8,
    /// Where the records of its nodes are.
    records: PathBuf,
}

impl Switch {
    pub(super) fn new(cluster: &str, gateway: Ipv4Addr, prefix: u8, records: PathBuf) -> Self {
        Self { namespace: format!("pgha-{cluster}"), gateway, prefix, records }
    }

    /// Name of the host's end of its cable.
    pub(super) fn host_port(&self) -> String {
        port("pgha", &self.namespace)
    }

    pub(super) fn exists(&self) -> bool {
        exists(&self.namespace)
    }

    /// Where the nodes of another cluster with the same name have their records, if the switch
    /// belongs to it. The alias of the host's port is that directory; an older pgha did not set it.
    pub(super) fn anothers(&self) -> Option<PathBuf> {
        let alias = Path::new("/sys/class/net").join(self.host_port()).join("ifalias");
        let named = std::fs::read_to_string(alias).ok()?;
        let theirs = Path::new(named.trim_end_matches('\n')).canonicalize().ok()?;
        let is_ours = self.records.canonicalize().is_ok_and(|ours| ours == theirs);
        (!is_ours).then_some(theirs)
    }

    /// Makes the switch and connects the host. A half-made switch is replaced.
    pub(super) async fn create(&self) -> Result<(), CommandError> {
        let (space, host) = (&self.namespace, self.host_port());
        if self.exists() && std::path::Path::new("/sys/class/net").join(&host).exists() {
            return Ok(());
        }
        self.delete().await?;
        ip(None, &["netns", "add", space]).await?;
        batch(Some(space), &["link add br0 type bridge".to_owned(), "link set br0 up".to_owned()])
            .await?;
        let cable = [
            format!("link add {host} type veth peer name host netns {space}"),
            format!("addr add {}/{} dev {host}", self.gateway, self.prefix),
            format!("link set {host} up"),
        ];
        batch(None, &cable).await?;
        let records = self.records.to_string_lossy();
        let fits = records.len() <= ALIAS_BYTES;
        ip(None, &["link", "set", &host, "alias", if fits { &records } else { "" }]).await?;
        batch(Some(space), &["link set host master br0".to_owned(), "link set host up".to_owned()])
            .await
    }

    pub(super) async fn delete(&self) -> Result<(), CommandError> {
        // A veth pair vanishes with either end's namespace, but only after a while: delete the
        // host's end at once.
        let host = self.host_port();
        if std::path::Path::new("/sys/class/net").join(&host).exists() {
            ip(None, &["link", "del", &host]).await?;
        }
        remove(&self.namespace).await
    }

    /// Gives a machine its namespace, cable and address. Plugs it in again if it was unplugged.
    pub(super) async fn attach(
        &self,
        machine: &str,
        address: Ipv4Addr,
    ) -> Result<(), CommandError> {
        let (space, cable) = (&self.namespace, port("n", machine));
        if ip(Some(space), &["link", "show", &cable]).await.is_err() {
            // An interrupted run may have left the namespace without its cable.
            remove(machine).await?;
            ip(None, &["netns", "add", machine]).await?;
            let prefix = self.prefix;
            // A fixed MAC address: a namespace that is made again is reached at once, because
            // others remember the address.
            let hardware = hardware(machine);
            let link = format!(
                "link add eth0 address {hardware} type veth peer name {cable} netns {space}"
            );
            let inside = [
                link,
                format!("addr add {address}/{prefix} dev eth0"),
                "link set lo up".to_owned(),
                "link set eth0 up".to_owned(),
            ];
            batch(Some(machine), &inside).await?;
        }
        batch(
            Some(space),
            &[format!("link set {cable} master br0"), format!("link set {cable} up")],
        )
        .await
    }

    /// Pulls a machine's cable. Not an error when there is none.
    pub(super) async fn unplug(&self, machine: &str) {
        let _ = ip(Some(&self.namespace), &["link", "set", &port("n", machine), "down"]).await;
    }

    pub(super) async fn detach(&self, machine: &str) -> Result<(), CommandError> {
        let _ = ip(Some(&self.namespace), &["link", "del", &port("n", machine)]).await;
        remove(machine).await
    }
}

/// Interface names have at most 15 characters, machine names may have more.
fn port(prefix: &str, machine: &str) -> String {
    let hash = Sha256::digest(machine.as_bytes());
    format!(
        "{prefix}-{}",
        hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>()
    )
}

/// A locally administered MAC address.
fn hardware(machine: &str) -> String {
    let hash = Sha256::digest(machine.as_bytes());
    format!("02{}", hash.iter().take(5).map(|byte| format!(":{byte:02x}")).collect::<String>())
}

fn exists(namespace: &str) -> bool {
    std::path::Path::new("/run/netns").join(namespace).exists()
}

async fn remove(namespace: &str) -> Result<(), CommandError> {
    if exists(namespace) { ip(None, &["netns", "del", namespace]).await } else { Ok(()) }
}

async fn ip(namespace: Option<&str>, arguments: &[&str]) -> Result<(), CommandError> {
    in_namespace(namespace).args(arguments).run().await.map(drop)
}

/// Makes several changes with one process: starting one costs more than most changes.
async fn batch(namespace: Option<&str>, lines: &[String]) -> Result<(), CommandError> {
    in_namespace(namespace)
        .args(["-batch", "-"])
        .input(lines.join("\n") + "\n")
        .run()
        .await
        .map(drop)
}

fn in_namespace(namespace: Option<&str>) -> Command {
    let command = Command::new("ip");
    match namespace {
        Some(name) => command.args(["-n", name]),
        None => command,
    }
}
