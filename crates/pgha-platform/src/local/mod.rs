//! The local provider: every node is a systemd-nspawn container on this machine.
//!
//! A node boots from two read-only squashfs files under a volatile overlay, lives in a network
//! namespace of its own, and keeps its data in a directory. Processes and mounts outlive `pgha`;
//! what is left on disk is in the state directory:
//!
//! ```text
//! STATE_DIR/CLUSTER/                         closed to other users (mode 0700)
//! STATE_DIR/CLUSTER/lock                     held while a pgha changes the cluster
//! STATE_DIR/CLUSTER/nodes/NAME/record.json   address, labels, and what it boots from
//! STATE_DIR/CLUSTER/nodes/NAME/seed-...      identity and secrets (mode 0600)
//! STATE_DIR/CLUSTER/nodes/NAME/data/         the data volume
//! STATE_DIR/CLUSTER/nodes/NAME/console.log   what the container's console showed (mode 0600)
//! ```

mod cgroup;
mod machine;
mod network;
mod preflight;
mod record;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::command::is_root;
use crate::files::{self, FileError, Lock};
use crate::provider::{Check, Faults, ImageFile, Provider, ProviderError, Server, ServerRequest};
use network::Switch;
use record::{Labels, Records};

/// Patroni may take 120 s to stop PostgreSQL cleanly (its unit's TimeoutStopSec).
const SHUT_DOWN_SECONDS: u64 = 150;

/// How much of a console is read: a node may write to it without limit.
const CONSOLE_BYTES: u64 = 64 << 10;

/// What the local provider must know about a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the cluster.
    pub cluster: String,
    /// Directory of data volumes and records.
    pub state_dir: PathBuf,
    /// Directory of the cluster's secrets: another cluster may have the same name.
    pub secrets: PathBuf,
    /// The host's address in the cluster's network.
    pub gateway: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
}

/// Nodes as containers of this machine.
#[derive(Debug, Clone)]
pub struct Local {
    options: Options,
    records: Records,
    switch: Switch,
}

impl Local {
    /// A provider for one cluster. Touches nothing yet.
    pub fn new(options: Options) -> Self {
        let records =
            Records::new(options.state_dir.join(&options.cluster), options.secrets.clone());
        let dir = records.dir.clone();
        let switch = Switch::new(&options.cluster, options.gateway, options.prefix, dir);
        Self { options, records, switch }
    }

    /// Bytes of the disk that every data volume is on.
    ///
    /// # Errors
    /// When its file system cannot be asked.
    pub fn volume_bytes(&self) -> Result<u64, FileError> {
        files::size(&self.options.state_dir)
    }

    fn machine(&self, name: &str) -> String {
        // A full stop, because no name may contain one: cluster `a` with node `b-c` must not
        // collide with `a-b` and node `c`.
        format!("pgha-{}.{name}", self.options.cluster)
    }

    /// Stops a node as `poweroff` would. A node that does not stop in time gets a power cut.
    async fn shut_down(&self, name: &str) -> Result<(), ProviderError> {
        let machine = self.machine(name);
        if !machine::ask_to_stop(&machine) {
            return self.power_cut(name).await;
        }
        if let Err(seconds) = cgroup::emptied(&machine, SHUT_DOWN_SECONDS).await {
            tracing::warn!("{name} did not stop within {seconds} s: it loses its power");
            return self.power_cut(name).await;
        }
        cgroup::remove(&machine);
        machine::forget(&machine);
        Ok(())
    }
}

impl Provider for Local {
    async fn checks(&self) -> Vec<Check> {
        let is_new = self.records.names().is_ok_and(|names| names.is_empty());
        preflight::checks(&self.options, &self.switch, is_new).await
    }

    fn lock(&self, purpose: &str) -> Result<Lock, ProviderError> {
        if !is_root() {
            return Err(ProviderError::NotRoot);
        }
        // Machines and switch are named after the cluster alone: changes could hit those of another
        // cluster with the same name.
        if let Some(records) = self.switch.anothers() {
            let cluster = self.options.cluster.clone();
            return Err(ProviderError::Elsewhere { cluster, records });
        }
        // Other users must not read data and consoles of nodes.
        files::private_dir(&self.records.dir)?;
        files::lock(&self.records.dir.join("lock"), purpose)?.map_err(ProviderError::Busy)
    }

    async fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let names = self.records.names()?;
        names
            .into_iter()
            .map(|name| {
                let record = self.records.read(&name)?;
                Ok(Server {
                    running: cgroup::is_populated(&self.machine(&name)),
                    address: record.address,
                    labels: record.labels,
                    owner: record.owner,
                    name,
                })
            })
            .collect()
    }

    async fn leftovers(&self) -> Result<Vec<String>, ProviderError> {
        let names = self.records.names()?;
        let known = names.iter().map(|name| self.machine(name)).collect::<Vec<_>>();
        let machines = cgroup::populated(&self.machine("")).into_iter();
        let unknown = machines.filter(|machine| !known.contains(machine));
        let dirs = self.records.without_record(&names)?;
        let dirs = dirs.iter().map(|dir| format!("directory {}", dir.display()));
        Ok(unknown.map(|machine| format!("running machine {machine}")).chain(dirs).collect())
    }

    async fn create_network(&self) -> Result<(), ProviderError> {
        Ok(self.switch.create().await?)
    }

    async fn delete_network(&self) -> Result<(), ProviderError> {
        self.switch.delete().await?;
        self.records.sweep()?;
        // Removes only what this provider made, and only while it is empty: the directory may hold
        // other things.
        let _ = std::fs::remove_dir(self.records.dir.join("nodes"));
        files::remove(&self.records.dir.join("lock"))?;
        let _ = std::fs::remove_dir(&self.records.dir);
        Ok(())
    }

    async fn create_server(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        // A machine that runs without a record has its data elsewhere: it must not get a new
        // volume.
        let machine = self.machine(&request.name);
        if cgroup::is_populated(&machine) && self.records.read(&request.name).is_err() {
            return Err(ProviderError::Unrecorded(machine));
        }
        self.records.create(request)?;
        self.power_on(&request.name).await
    }

    async fn rebuild_server(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        // Checked before the stop: otherwise the server might have nothing to boot from.
        unchanged(&request.name, [&request.boot.package_root, &request.boot.configuration])?;
        self.shut_down(&request.name).await?;
        self.records.give(request)?;
        self.power_on(&request.name).await
    }

    async fn delete_server(&self, name: &str) -> Result<(), ProviderError> {
        self.power_cut(name).await?;
        self.switch.detach(&self.machine(name)).await?;
        Ok(self.records.delete(name)?)
    }

    async fn label(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        let mut record = self.records.read(name)?;
        record.labels = labels.clone();
        self.records.write(name, &record)
    }

    async fn reboot(&self, name: &str) -> Result<(), ProviderError> {
        // Checked before the stop: otherwise the server might have nothing to boot from.
        let record = self.records.read(name)?;
        unchanged(name, record.files())?;
        self.shut_down(name).await?;
        self.power_on(name).await
    }

    async fn power_on(&self, name: &str) -> Result<(), ProviderError> {
        let machine = self.machine(name);
        if cgroup::is_populated(&machine) {
            return Ok(());
        }
        let record = self.records.read(name)?;
        unchanged(name, record.files())?;
        // A cgroup that was killed once kills whatever is started in it: begin with a new one.
        cgroup::remove(&machine);
        self.switch.attach(&machine, record.address).await?;
        machine::launch(&machine, &self.records.node(name), &record)
    }

    async fn console(&self, name: &str) -> Result<String, ProviderError> {
        let path = self.records.node(name).join("console.log");
        Ok(crate::command::last_lines(&files::end(&path, CONSOLE_BYTES).unwrap_or_default(), 30))
    }
}

impl Faults for Local {
    async fn power_cut(&self, name: &str) -> Result<(), ProviderError> {
        let machine = self.machine(name);
        // The link first: dying processes make the kernel send FIN and RST, which a power cut would
        // not.
        self.switch.unplug(&machine).await;
        cgroup::kill(&machine).await.map_err(|seconds| ProviderError::Slow {
            name: name.to_owned(),
            what: "die",
            seconds,
        })?;
        machine::forget(&machine);
        Ok(())
    }

    async fn freeze(&self, name: &str) -> Result<(), ProviderError> {
        self.set_frozen(name, true).await
    }

    async fn thaw(&self, name: &str) -> Result<(), ProviderError> {
        self.set_frozen(name, false).await
    }
}

impl Local {
    async fn set_frozen(&self, name: &str, frozen: bool) -> Result<(), ProviderError> {
        let (name, what) = (name.to_owned(), if frozen { "freeze" } else { "thaw" });
        let done = cgroup::set_frozen(&self.machine(&name), frozen).await;
        done.map_err(|seconds| ProviderError::Slow { name, what, seconds })
    }
}

/// Fails if a file is not what the image was made of: no node may boot other bytes.
fn unchanged(server: &str, files: [&ImageFile; 2]) -> Result<(), ProviderError> {
    for file in files {
        let Some(what) = files::altered(&file.path, &file.sha256)? else { continue };
        return Err(ProviderError::ImageChanged {
            server: server.to_owned(),
            file: file.path.display().to_string(),
            what,
        });
    }
    Ok(())
}
