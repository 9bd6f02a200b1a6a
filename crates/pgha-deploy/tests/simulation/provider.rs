//! The provider of the model. What no roll may ever ask for panics.

use std::path::PathBuf;
use std::time::Duration;

use pgha_core::cluster::Node;
use pgha_platform::files::Lock;
use pgha_platform::label;
use pgha_platform::{Check, Provider, ProviderError, Server, ServerRequest, When};
use rand::RngExt;
use tokio::time::Instant;

use crate::model::World;
use crate::state::Labels;
use crate::wish;

impl Provider for World {
    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn lock(&self, purpose: &str) -> Result<Lock, ProviderError> {
        Err(ProviderError::Busy(purpose.to_owned()))
    }

    async fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let state = self.state();
        let server = |node: &Node| {
            let machine = &state.machines[&node.name];
            let previous = machine
                .previous
                .as_ref()
                .map(|labels| ("previous_image".to_owned(), labels["image"].clone()));
            let labels = machine.labels.clone().into_iter().chain(previous).collect();
            Server { name: node.name.clone(), address: node.address, running: machine.on, labels }
        };
        Ok(self.cluster.nodes.iter().map(server).collect())
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
        let mut labels = request.labels.clone();
        labels.insert("seed".into(), wish::seed(self.state().seed_version).to_string());
        self.replace(&request.name, |machine| {
            let old = machine.labels.clone();
            labels = old.clone().into_iter().chain(std::mem::take(&mut labels)).collect();
            let becomes = label::becomes_previous(&old, machine.previous.is_some());
            if (old["image"] != labels["image"] || old["seed"] != labels["seed"]) && becomes {
                machine.previous = Some(old);
            }
            machine.labels = labels;
        })
        .await
    }

    async fn revert_server(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        let previous = self.state().machine(name).previous.clone();
        let mut previous = previous.ok_or_else(|| ProviderError::NoPrevious(name.to_owned()))?;
        previous.extend(labels.clone());
        self.replace(name, |machine| (machine.labels, machine.previous) = (previous, None)).await
    }

    async fn can_revert(&self, _: &str, _: When) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn delete_server(&self, name: &str) -> Result<(), ProviderError> {
        panic!("nothing may delete {name}")
    }

    async fn label(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        self.state().machine(name).labels.extend(labels.clone());
        Ok(())
    }

    async fn power_on(&self, name: &str) -> Result<(), ProviderError> {
        let mut state = self.state();
        let joins_after = Duration::from_secs(state.rng.random_range(2..20));
        let machine = state.machine(name);
        if !machine.on {
            (machine.on, machine.booted, machine.joins_after) = (true, Instant::now(), joins_after);
        }
        Ok(())
    }

    async fn power_cut(&self, _: &str) -> Result<(), ProviderError> {
        panic!("a roll cuts no power")
    }

    async fn isolate(&self, _: &str) -> Result<(), ProviderError> {
        panic!("a roll isolates nobody")
    }

    async fn heal(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn console(&self, name: &str) -> Result<String, ProviderError> {
        Ok(PathBuf::from("/console").join(name).display().to_string())
    }
}
