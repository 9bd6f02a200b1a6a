//! What a node is given: image and seed from the archive, and the labels to note.

use std::path::PathBuf;

use pgha_core::inventory::{Given, Labels, Server};
use pgha_core::manifest::Layer;
use pgha_platform::{Boot, ImageFile, Provider, ServerRequest, clock};

use super::{ExecuteError, Executor};
use crate::archive::ArchiveError;
use crate::daemons::Daemons;
use crate::observe;

impl<P: Provider, D: Daemons> Executor<'_, P, D> {
    /// A server to create. Its cluster begins with the wanted dynamic configuration.
    pub(super) fn new_server(&self, name: &str) -> Result<Server, ExecuteError> {
        let blank = Server::read(name, self.node(name)?.address, false, &Labels::new(), 0);
        let dynamic = Some(self.operator.rendered.dynamic.digest());
        Ok(Server { dynamic, ..self.rolled(blank) })
    }

    /// A server that this plan gives something new. It has to prove itself with it.
    fn rolled(&self, server: Server) -> Server {
        Server {
            generation: self.plan.generation,
            wish: Some(self.plan.wish.clone()),
            proven: false,
            since: Some(clock::now()),
            ..server
        }
    }

    /// A server that is given something new. What it runs now becomes its way back.
    pub(super) fn replaced(&self, server: Server, given: &Given) -> Server {
        let previous = match server.given == *given {
            true => server.previous.clone(),
            false => server.way_back().cloned(),
        };
        self.rolled(Server { previous, ..server })
    }

    /// The request that boots a server with what last proved itself. From there, nothing leads back to the bad image, or further back.
    pub(super) async fn revert_request(&self, name: &str) -> Result<ServerRequest, ExecuteError> {
        let server = self.server(name).await?;
        self.operator.archive.check_bootable(server.previous.as_ref())?;
        let given = server.previous.clone().ok_or(ArchiveError::Nothing)?;
        let (since, undone) = (Some(clock::now()), self.plan.generation);
        let (proven, generation, wish, previous) = (true, 0, None, None);
        let server = Server { since, undone, proven, generation, wish, previous, ..server };
        self.request(server, &given)
    }

    /// Checks that a server that is given something new could go back to what it runs.
    pub(super) async fn check_way_back(&self, name: &str) -> Result<(), ExecuteError> {
        let server = self.server(name).await?;
        // No server goes back to expired certificates. A server that is not sealed yet will be by then, with what it has.
        match server.expired || !server.formed {
            true => Ok(()),
            false => Ok(self.operator.archive.check_bootable(server.way_back())?),
        }
    }

    /// The server with new certificates. Its previous ones have expired and are no way back.
    pub(super) fn renewed(&self, server: Server) -> Server {
        Server { since: Some(clock::now()), previous: None, ..server }
    }

    /// The request to the provider: boot the server with `given`, and note of it what `server`
    /// says.
    pub(super) fn request(
        &self,
        server: Server,
        given: &Given,
    ) -> Result<ServerRequest, ExecuteError> {
        let archive = self.operator.archive;
        let image = archive.described(&given.image)?;
        let (seed, certificates_end) = archive.seed(&given.seed)?;
        let layers = image.layers().ok_or_else(|| ExecuteError::NoLayers(given.image.clone()))?;
        let noted = Server {
            given: given.clone(),
            roles: Some(image.role_set.to_string()),
            data: image.data_format(self.cluster()),
            certificates_end,
            identity: Some(self.operator.secrets.identity()),
            ..server
        };
        Ok(ServerRequest {
            name: noted.name.clone(),
            address: noted.address,
            volume: self.cluster().volume(self.node(&noted.name)?),
            labels: noted.labels(),
            boot: Boot {
                package_root: file(&layers.package_root),
                configuration: file(&layers.configuration),
                seed,
            },
        })
    }

    /// A server as its provider knows it now.
    pub(super) async fn server(&self, name: &str) -> Result<Server, ExecuteError> {
        let world = observe::servers(self.operator.provider).await?;
        world.server(name).cloned().ok_or_else(|| ExecuteError::Unknown(name.to_owned()))
    }

    /// Notes something of a server.
    pub(super) async fn note(
        &self,
        name: &str,
        change: impl FnOnce(&mut Server),
    ) -> Result<(), ExecuteError> {
        let mut server = self.server(name).await?;
        change(&mut server);
        Ok(self.operator.provider.label(name, &server.labels()).await?)
    }

    /// Notes something of every server.
    pub(super) async fn note_all(&self, change: impl Fn(&mut Server)) -> Result<(), ExecuteError> {
        for mut server in observe::servers(self.operator.provider).await?.servers {
            change(&mut server);
            self.operator.provider.label(&server.name, &server.labels()).await?;
        }
        Ok(())
    }
}

fn file(layer: &Layer) -> ImageFile {
    ImageFile { path: PathBuf::from(&layer.path), sha256: layer.sha256.to_string() }
}
