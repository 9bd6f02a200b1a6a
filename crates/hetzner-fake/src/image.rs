//! Images: stock ones and snapshots.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::{self, Labels};
use crate::project::{Meta, Project, Resource, now, read, stored};

/// What a server may be made from.
pub(crate) struct Image {
    pub(crate) meta: Meta,
    pub(crate) kind: Kind,
    pub(crate) architecture: String,
    /// Gigabytes that a server's disk must have at least.
    pub(crate) disk_gb: u64,
    pub(crate) available: bool,
    pub(crate) description: String,
}

pub(crate) enum Kind {
    /// Hetzner's own.
    System { flavor: String, version: String },
    /// Of the disk of a server: its id and name.
    Snapshot { server: u64, name: String },
}

stored!(Image, "image", images, ["type", "status", "architecture"]);

impl Resource for Image {
    /// Without `deprecated`, as images are since September 2026.
    fn fields(&self, _: &Project) -> Value {
        let (kind, flavor, version, from) = match &self.kind {
            Kind::System { flavor, version } => {
                ("system", flavor.as_str(), json!(version), Value::Null)
            }
            Kind::Snapshot { server, name } => {
                ("snapshot", "unknown", Value::Null, json!({ "id": server, "name": name }))
            }
        };
        let is_snapshot = kind == "snapshot";
        json!({
            "type": kind,
            "name": (!is_snapshot).then_some(&self.meta.name),
            "status": if self.available { "available" } else { "creating" },
            "description": self.description,
            "image_size": (is_snapshot && self.available).then_some(0.7),
            "disk_size": self.disk_gb,
            "created_from": from,
            "bound_to": null,
            "os_flavor": flavor,
            "os_version": version,
            "rapid_deploy": !is_snapshot,
            "architecture": self.architecture,
            "protection": { "delete": false },
            "deleted": null,
            "deprecation": null,
        })
    }
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(default)]
    description: String,
    #[serde(default)]
    labels: Labels,
    r#type: Option<String>,
}

impl Project {
    /// A snapshot of a server's disk.
    pub(crate) fn create_image(&mut self, server: u64, body: &Value) -> Outcome {
        let request: Snapshot = read(body)?;
        if request.r#type.as_deref().is_some_and(|kind| kind != "snapshot") {
            return Err(Refusal::invalid("type", "only snapshots are modelled"));
        }
        labels::check(&request.labels)?;
        let of = self.get::<crate::server::Server>(server)?;
        let kind = Kind::Snapshot { server, name: of.meta.name.clone() };
        let (architecture, disk_gb) = (of.text_of_type("architecture"), of.disk_gb());
        let id = self.next_id();
        let subjects = [("server", server), ("image", id)];
        let meta = Meta { id, name: String::new(), labels: request.labels, created: now() };
        let description = request.description;
        let done = move |project: &mut Self| project.set_available(id);
        let action = self.begin("create_image", &subjects, done)?;
        self.add(Image { meta, kind, architecture, disk_gb, available: false, description });
        Ok(Answer::created(json!({ "action": action, "image": self.show_id::<Image>(id)? })))
    }

    fn set_available(&mut self, image: u64) {
        if let Some(hardware) = &self.hardware {
            hardware.snapshot(image);
        }
        if let Some(image) = self.images.get_mut(&image) {
            image.available = true;
        }
    }

    /// One that a server can be made from or be given.
    pub(crate) fn bootable(
        &self,
        wanted: &Value,
        architecture: &str,
        disk_gb: u64,
    ) -> Result<u64, Refusal> {
        let fits = |image: &Image| image.architecture == architecture;
        // The names of stock images come once for each architecture.
        let named = self
            .images
            .values()
            .find(|image| fits(image) && !image.meta.name.is_empty() && *wanted == image.meta.name);
        let id = named.map_or_else(|| self.find::<Image>(wanted), |image| Ok(image.meta.id))?;
        let image = self.get::<Image>(id)?;
        match image {
            _ if !image.available => Err(Refusal::invalid("image", "is not available")),
            _ if !fits(image) => Err(Refusal::invalid("image", "has another architecture")),
            _ if image.disk_gb > disk_gb => Err(Refusal::invalid("image", "needs a larger disk")),
            _ => Ok(id),
        }
    }

    pub(crate) fn delete_image(&mut self, id: u64) -> Outcome {
        match self.get::<Image>(id)?.kind {
            Kind::System { .. } => Err(Refusal::new(403, "forbidden", "a stock image")),
            Kind::Snapshot { .. } => {
                self.not_locked(&[("image", id)])?;
                self.images.remove(&id);
                Ok(Answer::no_content())
            }
        }
    }
}
