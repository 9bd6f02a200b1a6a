//! Which request goes where.

use serde_json::{Value, json};

use crate::action::Action;
use crate::answer::{Answer, Outcome, Refusal};
use crate::listing::{Query, is_asked_for, page};
use crate::project::{Project, Resource};

/// Actions that one request may ask for.
const MOST_ACTIONS: usize = 25;

impl Project {
    /// Carries a request out. `path` begins behind `/v1/`.
    pub(crate) fn call(
        &mut self,
        method: &str,
        path: &str,
        query: &Query,
        body: &Value,
    ) -> Outcome {
        self.settle();
        let parts = path.trim_matches('/').split('/').collect::<Vec<_>>();
        let Some((kinds, rest)) = parts.split_first() else {
            return Err(Refusal::not_found("path"));
        };
        match (*kinds, method, rest) {
            ("servers", "POST", []) => self.create_server(body),
            ("servers", "DELETE", [id]) => self.delete_server(number(id)?),
            ("servers", "POST", [id, "actions", command]) => {
                self.server_action(number(id)?, command, body)
            }
            ("servers", ..) => self.common::<crate::server::Server>(method, rest, query, body),
            ("volumes", "POST", []) => self.create_volume(body),
            ("volumes", "DELETE", [id]) => self.delete_volume(number(id)?),
            ("volumes", "POST", [id, "actions", command]) => {
                self.volume_action(number(id)?, command, body)
            }
            ("volumes", ..) => self.common::<crate::volume::Volume>(method, rest, query, body),
            ("images", "DELETE", [id]) => self.delete_image(number(id)?),
            ("images", ..) => self.common::<crate::image::Image>(method, rest, query, body),
            ("networks", "POST", []) => self.create_network(body),
            ("networks", "DELETE", [id]) => self.delete_network(number(id)?),
            ("networks", "POST", [id, "actions", command]) => {
                self.network_action(number(id)?, command, body)
            }
            ("networks", ..) => self.common::<crate::network::Network>(method, rest, query, body),
            ("firewalls", "POST", []) => self.create_firewall(body),
            ("firewalls", "DELETE", [id]) => self.delete_firewall(number(id)?),
            ("firewalls", "POST", [id, "actions", command]) => {
                self.firewall_action(number(id)?, command, body)
            }
            ("firewalls", ..) => {
                self.common::<crate::firewall::Firewall>(method, rest, query, body)
            }
            ("placement_groups", "POST", []) => self.create_placement_group(body),
            ("placement_groups", "DELETE", [id]) => self.delete_placement_group(number(id)?),
            ("placement_groups", ..) => {
                self.common::<crate::placement_group::PlacementGroup>(method, rest, query, body)
            }
            ("ssh_keys", "POST", []) => self.create_ssh_key(body),
            ("ssh_keys", "DELETE", [id]) => {
                let key = self.ssh_keys.remove(&number(id)?);
                key.ok_or_else(|| Refusal::not_found("ssh_key"))?;
                Ok(Answer::no_content())
            }
            ("ssh_keys", ..) => self.common::<crate::ssh_key::SshKey>(method, rest, query, body),
            ("actions", "GET", rest) => self.look_at_actions(rest, query),
            (sold @ ("locations" | "server_types" | "pricing"), "GET", rest) => {
                self.catalog.call(sold, rest, query)
            }
            ("datacenters", ..) => {
                Err(Refusal::new(410, "deprecated_api_endpoint", "removed on 2026-10-01"))
            }
            _ => Err(Refusal::not_found("path")),
        }
    }

    /// What is the same for every kind of resource.
    fn common<T: Resource>(
        &mut self,
        method: &str,
        rest: &[&str],
        query: &Query,
        body: &Value,
    ) -> Outcome {
        match (method, rest) {
            ("GET", []) => self.list::<T>(query),
            ("GET", [id]) => Ok(Answer::ok(self.one::<T>(number(id)?, Value::Null)?)),
            ("PUT", [id]) => self.update::<T>(number(id)?, body),
            ("GET", [id, "actions"]) => self.actions_of::<T>(number(id)?, query),
            ("GET", [_, "actions", action]) => self.look_at_actions(&[action], query),
            _ => Err(Refusal::new(405, "method_not_allowed", "not modelled")),
        }
    }

    fn actions_of<T: Resource>(&self, id: u64, query: &Query) -> Outcome {
        self.get::<T>(id)?;
        let own = self.actions.all.iter().filter(|action| action.concerns((T::KIND, id)));
        page(
            "actions",
            own.map(Action::show).filter(|action| is_asked_for(query, "status", action)).collect(),
            query,
        )
    }

    /// `GET /actions/ID`, and `GET /actions?id=ID&id=ID`.
    fn look_at_actions(&self, rest: &[&str], query: &Query) -> Outcome {
        let find = |id: &str| {
            let id = number(id)?;
            let found = self.actions.all.iter().find(|action| action.id == id);
            found.map(Action::show).ok_or_else(|| Refusal::not_found("action"))
        };
        if let [id] = rest {
            return Ok(Answer::ok(json!({ "action": find(id)? })));
        }
        let wanted = query.all("id").collect::<Vec<_>>();
        if wanted.is_empty() || wanted.len() > MOST_ACTIONS {
            return Err(Refusal::invalid("id", "between 1 and 25 are to be named"));
        }
        page("actions", wanted.into_iter().filter_map(|id| find(id).ok()).collect(), query)
    }
}

fn number(id: &str) -> Result<u64, Refusal> {
    id.parse().map_err(|_| Refusal::not_found("path"))
}
