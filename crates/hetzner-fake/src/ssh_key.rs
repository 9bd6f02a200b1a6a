//! SSH keys.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::{Answer, Outcome, Refusal};
use crate::labels::Labels;
use crate::project::{Meta, Project, Resource, read, stored};

/// A public key that new servers and rescue systems let in.
pub(crate) struct SshKey {
    meta: Meta,
    pub(crate) public_key: String,
    fingerprint: String,
}

stored!(SshKey, "ssh_key", ssh_keys, ["fingerprint"]);

impl Resource for SshKey {
    fn fields(&self, _: &Project) -> Value {
        json!({ "public_key": self.public_key, "fingerprint": self.fingerprint })
    }
}

#[derive(Deserialize)]
struct Create {
    name: String,
    public_key: String,
    #[serde(default)]
    labels: Labels,
}

impl Project {
    pub(crate) fn create_ssh_key(&mut self, body: &Value) -> Outcome {
        let Create { name, public_key, labels } = read(body)?;
        let fingerprint = fingerprint(&public_key)
            .ok_or_else(|| Refusal::invalid("public_key", "is not a valid SSH key"))?;
        if self.ssh_keys.values().any(|key| key.fingerprint == fingerprint) {
            return Err(Refusal::taken("public_key"));
        }
        let meta = self.meta::<SshKey>(name, labels)?;
        let id = self.add(SshKey { meta, public_key, fingerprint });
        Ok(Answer::created(self.one::<SshKey>(id, Value::Null)?))
    }
}

/// MD5, with colons, as the API shows it.
fn fingerprint(public_key: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(public_key.split_whitespace().nth(1)?).ok()?;
    let digits = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>();
    Some(digits.join(":"))
}
