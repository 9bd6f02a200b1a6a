//! Volumes.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::Labels;
use crate::project::{Meta, Project, Resource, read, stored};

/// Gigabytes of a volume, at least and at most.
const SIZES: std::ops::RangeInclusive<u64> = 10..=10_240;

/// A block device that outlives servers.
pub(crate) struct Volume {
    pub(crate) meta: Meta,
    gb: u64,
    pub(crate) location: Value,
    pub(crate) server: Option<u64>,
    format: Option<String>,
    available: bool,
    protected: bool,
}

stored!(Volume, "volume", volumes, ["status"]);

impl Resource for Volume {
    fn fields(&self, _: &Project) -> Value {
        json!({
            "size": self.gb,
            "server": self.server,
            "location": self.location,
            "linux_device": format!("/dev/disk/by-id/scsi-0HC_Volume_{}", self.meta.id),
            "protection": { "delete": self.protected },
            "status": if self.available { "available" } else { "creating" },
            "format": self.format,
        })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    size: u64,
    location: Option<Value>,
    server: Option<u64>,
    format: Option<String>,
    #[serde(default)]
    automount: bool,
    #[serde(default)]
    labels: Labels,
}

#[derive(Deserialize)]
struct Attach {
    server: u64,
}

#[derive(Deserialize)]
struct Resize {
    size: u64,
}

#[derive(Deserialize)]
struct Protect {
    delete: bool,
}

impl Project {
    pub(crate) fn create_volume(&mut self, body: &Value) -> Outcome {
        let Create { name, size, location, server, format, automount, labels } = read(body)?;
        if !SIZES.contains(&size) {
            return Err(Refusal::invalid("size", "must be between 10 and 10240"));
        }
        if automount && format.is_none() {
            return Err(Refusal::invalid("automount", "needs a format"));
        }
        if format.as_deref().is_some_and(|format| !["ext4", "xfs"].contains(&format)) {
            return Err(Refusal::invalid("format", "must be ext4 or xfs"));
        }
        let location = match (location, server) {
            (Some(location), None) => self.catalog.location(&location)?.clone(),
            (None, Some(server)) => self.get::<crate::server::Server>(server)?.location.clone(),
            _ => return Err(Refusal::invalid("location", "either a location or a server")),
        };
        let meta = self.meta::<Volume>(name, labels)?;
        let id = meta.id;
        let subjects = server.map(|server| ("server", server));
        self.not_locked(subjects.as_slice())?;
        self.add(Volume {
            meta,
            gb: size,
            location,
            server: None,
            format,
            available: false,
            protected: false,
        });
        let action = self.begin("create_volume", &[("volume", id)], move |project| {
            if let Some(volume) = project.volumes.get_mut(&id) {
                volume.available = true;
            }
        })?;
        let next = server.map(|server| self.attach_next(id, server));
        let more =
            json!({ "action": action, "next_actions": next.into_iter().collect::<Vec<_>>() });
        Ok(Answer::created(self.one::<Volume>(id, more)?))
    }

    fn attach_next(&mut self, volume: u64, server: u64) -> Value {
        let subjects = [("volume", volume), ("server", server)];
        self.begin_next("attach_volume", &subjects, move |project| project.attached(volume, server))
    }

    fn attached(&mut self, volume: u64, server: u64) {
        if let Some(volume) = self.volumes.get_mut(&volume) {
            volume.server = Some(server);
        }
    }

    /// Refuses a volume that a server in this location cannot have.
    pub(crate) fn attachable(&self, volume: u64, location: &Value) -> Result<(), Refusal> {
        let volume = self.get::<Volume>(volume)?;
        match volume {
            _ if volume.server.is_some() => {
                Err(Refusal::new(422, "volume_already_attached", "the volume is attached already"))
            }
            _ if !volume.available => Err(Refusal::locked()),
            _ if volume.location["id"] != location["id"] => {
                Err(Refusal::invalid("server", "is in another location than the volume"))
            }
            _ => Ok(()),
        }
    }

    /// Attaches volumes to a server that is being made.
    pub(crate) fn attach_at_birth(&mut self, volumes: &[u64], server: u64) -> Vec<Value> {
        volumes.iter().map(|volume| self.attach_next(*volume, server)).collect()
    }

    pub(crate) fn volume_action(&mut self, id: u64, command: &str, body: &Value) -> Outcome {
        let own = ("volume", id);
        let server = self.get::<Volume>(id)?.server;
        let action = match command {
            "attach" => {
                let Attach { server } = read(body)?;
                let location = self.get::<crate::server::Server>(server)?.location.clone();
                self.attachable(id, &location)?;
                let done = move |project: &mut Self| project.attached(id, server);
                self.begin("attach_volume", &[own, ("server", server)], done)
            }
            "detach" => {
                let server = server.ok_or_else(|| Refusal::invalid("volume", "is not attached"))?;
                let subjects = [own, ("server", server)];
                self.begin("detach_volume", &subjects, move |project| project.free_volume(id))
            }
            "resize" => {
                let Resize { size } = read(body)?;
                let grows = size > self.get::<Volume>(id)?.gb && SIZES.contains(&size);
                if !grows {
                    return Err(Refusal::invalid("size", "a volume only grows, to at most 10240"));
                }
                self.begin("resize_volume", &[own], move |project| {
                    if let Some(volume) = project.volumes.get_mut(&id) {
                        volume.gb = size;
                    }
                })
            }
            "change_protection" => {
                let Protect { delete } = read(body)?;
                self.begin("change_protection", &[own], move |project| {
                    if let Some(volume) = project.volumes.get_mut(&id) {
                        volume.protected = delete;
                    }
                })
            }
            _ => Err(Refusal::not_found("action")),
        };
        Ok(Answer::created(json!({ "action": action? })))
    }

    pub(crate) fn free_volume(&mut self, volume: u64) {
        if let Some(volume) = self.volumes.get_mut(&volume) {
            volume.server = None;
        }
    }

    pub(crate) fn delete_volume(&mut self, id: u64) -> Outcome {
        let volume = self.get::<Volume>(id)?;
        match volume {
            _ if volume.protected => Err(Refusal::protected()),
            _ if volume.server.is_some() => {
                // The word is a guess: the documentation has none.
                Err(Refusal::new(409, "resource_in_use", "the volume is attached to a server"))
            }
            _ => {
                self.not_locked(&[("volume", id)])?;
                self.volumes.remove(&id);
                Ok(Answer::no_content())
            }
        }
    }
}
