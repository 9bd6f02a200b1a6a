//! The provider of the model. What no roll may ever ask for panics.

use std::net::Ipv4Addr;
use std::path::Path;

use pgha_core::Digest;
use pgha_core::cluster::Node;
use pgha_core::inventory::{self, Labels};
use pgha_core::manifest::{Layer, Layers};
use pgha_platform::files::{self, Lock};
use pgha_platform::{Check, ImageFile, Provider, ProviderError, Server, ServerRequest};

use crate::pgha::Pgha;
use crate::wish::NUMBER;

impl Provider for Pgha<'_> {
    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn lock(&self, purpose: &str) -> Result<Lock, ProviderError> {
        let path = self.world.locks.path().join(format!("machine {}", self.process % 2));
        files::lock(&path, purpose)?.map_err(ProviderError::Busy)
    }

    async fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let state = self.world.state();
        let server = |node: &Node| {
            let machine = &state.machines[&node.name];
            let (name, labels) = (node.name.clone(), machine.server.labels());
            Server { name, address: node.address, running: machine.on, labels, owner: None }
        };
        Ok(self.world.subject.cluster.nodes.iter().map(server).collect())
    }

    async fn leftovers(&self) -> Result<Vec<String>, ProviderError> {
        Ok(Vec::new())
    }

    async fn create_network(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn delete_network(&self) -> Result<(), ProviderError> {
        panic!("nothing may delete the network")
    }

    async fn create_server(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        panic!("nothing may create {} anew: its data would be gone", request.name)
    }

    async fn rebuild_server(&self, request: &ServerRequest) -> Result<(), ProviderError> {
        let name = &request.name;
        let server = read(request.address, name, &request.labels);
        boots_what_is_noted(request, &server);
        self.replace(name, |state| {
            state.may_take_over(name, &server);
            state.may_go_back(name, &server);
            state.machine(name).server = server;
        })
        .await
    }

    async fn delete_server(&self, name: &str) -> Result<(), ProviderError> {
        panic!("nothing may delete {name}")
    }

    async fn label(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        self.order(name, |state| {
            let machine = state.machine(name);
            machine.server = read(machine.server.address, name, labels);
            if machine.server.proven {
                machine.proven.push(machine.server.given.clone());
            }
        })
        .await
    }

    async fn reboot(&self, name: &str) -> Result<(), ProviderError> {
        self.replace(name, |_| ()).await
    }

    async fn power_on(&self, name: &str) -> Result<(), ProviderError> {
        let boot = |state: &mut crate::state::State| {
            if !state.machines[name].on {
                state.boot(name);
            }
        };
        self.order(name, boot).await
    }

    async fn console(&self, name: &str) -> Result<String, ProviderError> {
        Ok(format!("console of {name}"))
    }
}

/// What the labels say is what the machine was given.
fn boots_what_is_noted(request: &ServerRequest, noted: &inventory::Server) {
    let layer = |file: &ImageFile| Layer {
        path: String::new(),
        sha256: Digest::from(file.sha256.clone()),
        bytes: 0,
    };
    let (package_root, configuration) =
        (layer(&request.boot.package_root), layer(&request.boot.configuration));
    assert_eq!(Layers { package_root, configuration }.digest(), noted.given.image);
    let seed = zstd::Decoder::new(request.boot.seed.as_slice()).expect("a seed");
    let mut seed = tar::Archive::new(seed);
    let mut entries = seed.entries().expect("a seed").flatten();
    let is_number = |path: &Path| path == Path::new(NUMBER);
    let number = entries.find(|entry| entry.path().is_ok_and(|path| is_number(&path)));
    let number = std::io::read_to_string(number.expect("a number")).expect("a number");
    assert_eq!(Digest::from(number), noted.given.seed, "{} has another seed", noted.name);
}

fn read(address: Ipv4Addr, name: &str, labels: &Labels) -> inventory::Server {
    inventory::Server::read(name, address, true, labels, 0)
}
