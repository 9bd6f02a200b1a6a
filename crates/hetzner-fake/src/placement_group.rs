//! Placement groups: servers on different hosts.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::Labels;
use crate::project::{Meta, Project, Resource, read, stored};

/// Servers of one group, at most.
const MOST: usize = 10;

/// A group whose servers run on different hosts.
pub(crate) struct PlacementGroup {
    meta: Meta,
}

stored!(PlacementGroup, "placement_group", placement_groups, ["type"]);

impl Resource for PlacementGroup {
    fn fields(&self, project: &Project) -> Value {
        json!({ "type": "spread", "servers": project.placed_in(self.meta.id) })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    r#type: String,
    #[serde(default)]
    labels: Labels,
}

impl Project {
    pub(crate) fn create_placement_group(&mut self, body: &Value) -> Outcome {
        let Create { name, r#type, labels } = read(body)?;
        if r#type != "spread" {
            return Err(Refusal::invalid("type", "must be spread"));
        }
        let meta = self.meta::<PlacementGroup>(name, labels)?;
        let id = self.add(PlacementGroup { meta });
        Ok(Answer::created(self.one::<PlacementGroup>(id, json!({ "action": null }))?))
    }

    fn placed_in(&self, group: u64) -> Vec<u64> {
        let servers = self.servers.values().filter(|server| server.placement_group == Some(group));
        servers.map(|server| server.meta.id).collect()
    }

    /// Refuses one more server than a group holds.
    pub(crate) fn has_room(&self, group: u64) -> Result<u64, Refusal> {
        let group = self.get::<PlacementGroup>(group)?.meta.id;
        match self.placed_in(group).len() < MOST {
            true => Ok(group),
            false => Err(Refusal::new(422, "placement_error", "the placement group is full")),
        }
    }

    /// Its servers stay, in no group.
    pub(crate) fn delete_placement_group(&mut self, id: u64) -> Outcome {
        self.get::<PlacementGroup>(id)?;
        self.placement_groups.remove(&id);
        for server in self.servers.values_mut().filter(|server| server.placement_group == Some(id))
        {
            server.placement_group = None;
        }
        Ok(Answer::no_content())
    }
}
