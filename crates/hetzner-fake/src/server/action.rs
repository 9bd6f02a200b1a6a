//! What is done to servers.

use std::net::Ipv4Addr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::create::{ROOT_PASSWORD, user_data_fits};
use super::{Link, Server, Status};
use crate::answer::{Answer, Outcome, Refusal};
use crate::network::Network;
use crate::project::{Project, read};
use crate::ssh_key::SshKey;

#[derive(Deserialize)]
struct Rebuild {
    image: Value,
    user_data: Option<String>,
}

#[derive(Deserialize)]
struct Rescue {
    #[serde(default)]
    ssh_keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Attach {
    network: u64,
    ip: Option<Ipv4Addr>,
}

#[derive(Deserialize)]
struct Detach {
    network: u64,
}

#[derive(Deserialize)]
struct Group {
    placement_group: u64,
}

#[derive(Deserialize)]
struct Protect {
    delete: bool,
    rebuild: bool,
}

impl Project {
    pub(crate) fn server_action(&mut self, id: u64, command: &str, body: &Value) -> Outcome {
        self.get::<Server>(id)?;
        if command == "create_image" {
            return self.create_image(id, body);
        }
        self.not_locked(&[("server", id)])?;
        let more = match command {
            "poweron" => self.power(id, "start_server", Status::Starting, Status::Running),
            "poweroff" => self.power(id, "stop_server", Status::Stopping, Status::Off),
            "reset" | "reboot" => {
                self.power(id, "reboot_server", Status::Starting, Status::Running)
            }
            "shutdown" => self.power(id, "shutdown_server", Status::Stopping, Status::Off),
            "rebuild" => self.rebuild(id, read(body)?),
            "enable_rescue" => self.enable_rescue(id, &read(body)?),
            "disable_rescue" => self.change(id, "disable_rescue", |server| server.rescue = None),
            "attach_to_network" => self.attach(id, &read(body)?),
            "detach_from_network" => self.detach(id, &read(body)?),
            "add_to_placement_group" => self.place_in(id, &read(body)?),
            "remove_from_placement_group" => {
                self.change(id, command, |server| server.placement_group = None)
            }
            "change_protection" => self.protect(id, &read(body)?),
            "request_console" => self.console(id),
            _ => Err(Refusal::not_found("action")),
        };
        more.map(Answer::created)
    }

    /// An action whose effect is a change of the server alone.
    fn change(
        &mut self,
        id: u64,
        command: &str,
        change: impl FnOnce(&mut Server) + Send + 'static,
    ) -> Result<Value, Refusal> {
        let action = self.begin(command, &[("server", id)], move |project| {
            if let Some(server) = project.servers.get_mut(&id) {
                change(server);
            }
        })?;
        Ok(json!({ "action": action }))
    }

    fn power(
        &mut self,
        id: u64,
        command: &str,
        during: Status,
        after: Status,
    ) -> Result<Value, Refusal> {
        let begun = self.begin(command, &[("server", id)], move |project| {
            if let Some(server) = project.servers.get_mut(&id) {
                server.status = after;
                // A rescue system is there for one boot.
                let keys = server.rescue.take_if(|_| after == Status::Running);
                server.in_rescue = keys.is_some();
                if let (Some(hardware), Some(keys)) = (&project.hardware, keys) {
                    hardware.boot_rescue(&keys);
                }
            }
        })?;
        self.set_status_of(&begun, id, during);
        Ok(json!({ "action": begun }))
    }

    fn rebuild(&mut self, id: u64, request: Rebuild) -> Result<Value, Refusal> {
        let server = self.get::<Server>(id)?;
        if server.protected {
            return Err(Refusal::protected());
        }
        user_data_fits(request.user_data.as_ref())?;
        let architecture = server.text_of_type("architecture");
        let image = self.bootable(&request.image, &architecture, server.disk_gb())?;
        let mut begun = self.change(id, "rebuild_server", move |server| {
            server.image = image;
            server.status = Status::Running;
            server.user_data = request.user_data.or_else(|| server.user_data.take());
        })?;
        self.set_status_of(&begun["action"], id, Status::Rebuilding);
        begun["root_password"] = Value::Null;
        Ok(begun)
    }

    fn enable_rescue(&mut self, id: u64, request: &Rescue) -> Result<Value, Refusal> {
        let key =
            |key: &Value| Ok(self.get::<SshKey>(self.find::<SshKey>(key)?)?.public_key.clone());
        let keys = request.ssh_keys.iter().map(key).collect::<Result<Vec<_>, Refusal>>()?;
        let mut begun = self.change(id, "enable_rescue", |server| server.rescue = Some(keys))?;
        begun["root_password"] = json!(ROOT_PASSWORD);
        Ok(begun)
    }

    fn attach(&mut self, id: u64, request: &Attach) -> Result<Value, Refusal> {
        let server = self.get::<Server>(id)?;
        if server.private.iter().any(|link| link.network == request.network) {
            return Err(Refusal::new(422, "server_already_attached", "attached already"));
        }
        let ip = self.private_address(request.network, &server.location, request.ip)?;
        let link = Link { network: self.get::<Network>(request.network)?.meta.id, ip };
        self.change(id, "attach_to_network", |server| server.private.push(link))
    }

    fn detach(&mut self, id: u64, request: &Detach) -> Result<Value, Refusal> {
        let network = self.get::<Network>(request.network)?.meta.id;
        self.change(id, "detach_from_network", move |server| {
            server.private.retain(|link| link.network != network);
        })
    }

    fn place_in(&mut self, id: u64, request: &Group) -> Result<Value, Refusal> {
        if self.get::<Server>(id)?.status != Status::Off {
            return Err(Refusal::new(422, "server_not_stopped", "the server must be off"));
        }
        let group = self.has_room(request.placement_group)?;
        self.change(id, "add_to_placement_group", move |server| {
            server.placement_group = Some(group)
        })
    }

    fn protect(&mut self, id: u64, request: &Protect) -> Result<Value, Refusal> {
        if request.delete != request.rebuild {
            return Err(Refusal::invalid("delete", "must equal rebuild"));
        }
        let protected = request.delete;
        self.change(id, "change_protection", move |server| server.protected = protected)
    }

    fn console(&mut self, id: u64) -> Result<Value, Refusal> {
        let mut begun = self.change(id, "request_console", |_| {})?;
        begun["wss_url"] = json!(format!("wss://console.invalid/?server_id={id}"));
        begun["password"] = json!(ROOT_PASSWORD);
        Ok(begun)
    }
}
