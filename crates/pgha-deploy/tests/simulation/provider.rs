//! The provider of the model. What no roll may ever ask for panics.

use pgha_core::cluster::Node;
use pgha_platform::files::Lock;
use pgha_platform::label;
use pgha_platform::{Check, Provider, ProviderError, Server, ServerRequest, When};

use crate::pgha::Pgha;
use crate::state::Labels;

impl Provider for Pgha<'_> {
    async fn checks(&self) -> Vec<Check> {
        Vec::new()
    }

    fn lock(&self, purpose: &str) -> Result<Lock, ProviderError> {
        Err(ProviderError::Busy(purpose.to_owned()))
    }

    async fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let state = self.world.state();
        let server = |node: &Node| {
            let machine = &state.machines[&node.name];
            let previous = machine
                .previous
                .as_ref()
                .map(|labels| ("previous_image".to_owned(), labels["image"].clone()));
            let labels = machine.labels.clone().into_iter().chain(previous).collect();
            Server { name: node.name.clone(), address: node.address, running: machine.on, labels }
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
        let mut given = request.labels.clone();
        given.insert("seed".to_owned(), self.made.seed.to_string());
        self.replace(&request.name, |state| {
            state.may_take_over(&request.name, &given);
            let machine = state.machine(&request.name);
            let old = machine.labels.clone();
            machine.labels.extend(given);
            let same = |key: &str| machine.labels[key] == old[key];
            if !(same("image") && same("seed"))
                && label::becomes_previous(&old, machine.previous.is_some())
            {
                machine.previous = Some(old);
            }
        })
        .await
    }

    async fn revert_server(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        self.can_revert(name, When::Now).await?;
        self.replace(name, |state| {
            let machine = state.machine(name);
            machine.labels = machine.previous.take().expect("something to go back to");
            let proven = machine.labels.get("proven").is_none_or(|proven| proven == "yes");
            assert!(proven, "{name} goes back to what never proved itself");
            machine.labels.extend(labels.clone());
        })
        .await
    }

    async fn can_revert(&self, name: &str, when: When) -> Result<(), ProviderError> {
        let state = self.world.state();
        let machine = &state.machines[name];
        match when == When::AfterRebuild || machine.previous.is_some() {
            true => Ok(()),
            false => Err(ProviderError::NoPrevious(name.to_owned())),
        }
    }

    async fn delete_server(&self, name: &str) -> Result<(), ProviderError> {
        panic!("nothing may delete {name}")
    }

    async fn label(&self, name: &str, labels: &Labels) -> Result<(), ProviderError> {
        self.order(name, |state| state.machine(name).labels.extend(labels.clone())).await
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

    async fn power_cut(&self, _: &str) -> Result<(), ProviderError> {
        panic!("a roll cuts no power")
    }

    async fn isolate(&self, _: &str) -> Result<(), ProviderError> {
        panic!("a roll isolates nobody")
    }

    async fn freeze(&self, _: &str) -> Result<(), ProviderError> {
        panic!("a roll freezes nobody")
    }

    async fn thaw(&self, _: &str) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn heal(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn console(&self, name: &str) -> Result<String, ProviderError> {
        Ok(format!("console of {name}"))
    }
}
