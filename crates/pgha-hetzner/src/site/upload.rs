//! How an image becomes a snapshot: a server of a moment boots Hetzner's rescue system, which writes the disk.

use hcloud::models;
use pgha_platform::ssh;

use super::rescue::{self, Disk};
use super::server::IMAGE;
use super::{KIND, LONG, PATIENCE, Site, SiteError};
use crate::ground::Piece;
use crate::model::{Image, ImageStatus, Labels, Resource, Server, ServerType, Status};
use crate::server::Power;

/// The kind of what only an upload needs.
const UPLOAD: &str = "upload";

/// How long the rescue system may take to power off.
const SHUT_DOWN: std::time::Duration = std::time::Duration::from_secs(150);

/// An image that is to be a snapshot.
pub struct Upload<'u> {
    /// The image, by its digest as labels have it.
    pub image: &'u str,
    /// Its disk.
    pub disk: Disk<'u>,
    /// The processor that it is for: `x86` or `arm`.
    pub architecture: &'u str,
    /// What else is noted of the snapshot.
    pub labels: Labels,
}

impl Site {
    /// Makes the snapshot of an image, unless there is one. What an interrupted upload left is removed before, and of this
    /// one nothing but the snapshot stays. The caller keeps other operators away: they would remove each other's server.
    /// Returns whether it was made now.
    ///
    /// # Errors
    /// When the API refuses or is silent, no server is to be had, or the disk could not be written.
    pub async fn store_image(&self, upload: &Upload<'_>) -> Result<bool, SiteError> {
        // First: what was killed while its snapshot was made has only to be waited for.
        let is_stored = self.stored(upload.image).await?.is_some();
        self.remove_leftovers().await?;
        if is_stored {
            return Ok(false);
        }
        let outcome = self.upload(upload).await;
        // Also after a failure: what is left costs money.
        let swept = self.remove_leftovers().await;
        if let (Err(error), Err(_)) = (&outcome, &swept) {
            tracing::warn!("the upload failed: {error}");
        }
        swept.and(outcome).map(|()| true)
    }

    /// The snapshot of an image, once it is available.
    async fn stored(&self, image: &str) -> Result<Option<Image>, SiteError> {
        let look = || async {
            let found = self.snapshots_of(image).await?;
            let is_to_come = found.iter().any(|image| image.status == ImageStatus::Creating);
            let ready = found.into_iter().find(|image| image.status == ImageStatus::Available);
            Ok((ready.is_some() || !is_to_come).then_some(ready))
        };
        let slow = || SiteError::Slow {
            name: image.to_owned(),
            what: "a snapshot",
            seconds: LONG.as_secs(),
        };
        self.await_some(LONG, look).await?.ok_or_else(slow)
    }

    /// Deletes servers and keys of uploads of this cluster.
    ///
    /// # Errors
    /// [`SiteError::Left`] names what could not be deleted; when the API refuses or is silent.
    pub async fn remove_leftovers(&self) -> Result<(), SiteError> {
        let selector = format!("{},{KIND}={UPLOAD}", self.selector());
        let mut left = Vec::new();
        for server in self.api.servers(&selector).await? {
            tracing::info!("deleting {}, which an upload needed", server.name);
            let deleted = self.delete_one(&server).await;
            left.extend(deleted.err().map(|error| format!("server {}: {error}", server.name)));
        }
        let query = [("label_selector", selector.as_str())];
        for key in self.api.list::<Resource>("ssh_keys", &query).await? {
            let deleted = self.delete(Piece::SshKey(key.id)).await;
            left.extend(deleted.err().map(|error| format!("SSH key {}: {error}", key.name)));
        }
        match left.is_empty() {
            true => Ok(()),
            false => Err(SiteError::Left { what: left.join("; ") }),
        }
    }

    async fn upload(&self, upload: &Upload<'_>) -> Result<(), SiteError> {
        let private = ssh::new_key().map_err(SiteError::Key)?;
        let public = ssh::public_key(&private).map_err(SiteError::Key)?;
        let key = models::CreateSshKeyRequest::new(self.upload_name(), public);
        let key = self.ensure_made(UPLOAD, key).await?;
        let server = self.rescue_server(upload, &key).await?;
        let address = server.public_net.ipv4.as_ref().map(|ipv4| ipv4.ip);
        let address = address.ok_or_else(|| SiteError::NoAddress(server.name.clone()))?;
        tracing::info!("{}: writing image {}", server.name, upload.image);
        rescue::write(address, &private, &upload.disk).await?;
        self.off(&server).await?;
        self.take_snapshot(&server, upload).await
    }

    fn upload_name(&self) -> String {
        format!("{}-{UPLOAD}", self.wanted.cluster)
    }

    /// A server whose disk is not used, in the rescue system.
    async fn rescue_server(
        &self,
        upload: &Upload<'_>,
        key: &Resource,
    ) -> Result<Server, SiteError> {
        let (name, sold) = (self.upload_name(), self.sold().await?);
        let kinds = self.cheapest(upload, &sold);
        let find = || self.api.server_called(&name);
        let make = || async {
            let mut request = self.new_server(&name, "debian-12", key.id).await?;
            request.labels = Some(self.labels(UPLOAD).into_iter().collect());
            self.first_available(request, &kinds, &sold).await
        };
        let id = self.ensure(UPLOAD, &name, find, make).await?.id;
        let keys = [key.id];
        self.carry_out(PATIENCE, || self.api.enable_rescue(id, &keys)).await?;
        let server = self.settled(&name).await?.ok_or_else(|| SiteError::NoServer(name.clone()))?;
        // It would boot a system whose disk is in use.
        if !server.rescue_enabled {
            return Err(SiteError::NoRescue(name));
        }
        self.carry_out(PATIENCE, || self.api.power(id, Power::On)).await?;
        Ok(server)
    }

    /// Kinds of server whose disk is large enough for the image, and not larger than the nodes' will be: a snapshot asks
    /// for a disk as large as the one it was made of. The smallest first.
    fn cheapest(&self, upload: &Upload<'_>, sold: &[ServerType]) -> Vec<String> {
        let is_wanted = |kind: &&ServerType| self.wanted.server_types.contains(&kind.name);
        let disks = sold.iter().filter(is_wanted).map(|kind| kind.disk);
        let most = disks.fold(f64::INFINITY, f64::min);
        let least = upload.disk.bytes as f64 / 1e9;
        let fits = |kind: &&ServerType| {
            kind.architecture == upload.architecture && kind.disk >= least && kind.disk <= most
        };
        let mut kinds = sold.iter().filter(fits).collect::<Vec<_>>();
        kinds.sort_by(|a, b| a.disk.total_cmp(&b.disk).then(a.memory.total_cmp(&b.memory)));
        kinds.into_iter().map(|kind| kind.name.clone()).collect()
    }

    /// Waits until the rescue system has powered itself off, and takes its power if it does not.
    async fn off(&self, server: &Server) -> Result<(), SiteError> {
        let is_off = || async {
            Ok((self.api.server(server.id).await?.status == Status::Off).then_some(()))
        };
        if self.await_some(SHUT_DOWN, is_off).await?.is_some() {
            return Ok(());
        }
        Ok(self.carry_out(PATIENCE, || self.api.power(server.id, Power::Off)).await?)
    }

    async fn take_snapshot(&self, server: &Server, upload: &Upload<'_>) -> Result<(), SiteError> {
        let mut labels = self.labels_with("image", &upload.labels);
        labels.insert(IMAGE.to_owned(), upload.image.to_owned());
        let description = format!("pgha {} {}", self.wanted.cluster, upload.image);
        match self.api.create_snapshot(server.id, &description, &labels).await {
            // It may be on its way.
            Err(error) if error.leaves_open() => {
                let stored = self.stored(upload.image).await?;
                return stored.map(drop).ok_or(SiteError::Api(error));
            }
            made => self.api.ended(&made?.actions, LONG).await?,
        }
        let stored = self.stored(upload.image).await?;
        stored.map(drop).ok_or_else(|| SiteError::NoSnapshot(upload.image.to_owned()))
    }
}
