//! HAProxy's statistics page.

use std::collections::BTreeMap;

use crate::fleet::NodeError;
use crate::secrets::Secret;

/// HAProxy of one node.
pub struct Haproxy {
    client: reqwest::Client,
    url: String,
    node: String,
    password: Secret,
}

/// Pool name to server name to state, as HAProxy writes it (`UP`, `DOWN`, `UP 1/3`, ...).
pub type Pools = BTreeMap<String, BTreeMap<String, String>>;

impl Haproxy {
    pub(crate) fn new(client: reqwest::Client, url: String, node: &str, password: Secret) -> Self {
        Self { client, url, node: node.to_owned(), password }
    }

    /// What HAProxy thinks of every server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn pools(&self) -> Result<Pools, NodeError> {
        let fail = |source| NodeError::Http { daemon: "HAProxy", node: self.node.clone(), source };
        let request = self.client.get(format!("{}/;csv", self.url)).basic_auth("pgha", Some(self.password.expose()));
        let text = request.send().await.and_then(|a| a.error_for_status()).map_err(fail)?.text().await.map_err(fail)?;
        Ok(parse(&text))
    }
}

/// Columns 1, 2 and 18 of HAProxy's CSV: pool, server, status. HAProxy management guide 9.1.
fn parse(csv: &str) -> Pools {
    let mut pools = Pools::new();
    for line in csv.lines().filter(|line| !line.starts_with('#')) {
        let fields = line.split(',').collect::<Vec<_>>();
        if let [pool, server, ..] = fields[..]
            && !matches!(server, "FRONTEND" | "BACKEND")
            && let Some(status) = fields.get(17)
        {
            pools.entry(pool.to_owned()).or_default().insert(server.to_owned(), (*status).to_owned());
        }
    }
    pools
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_haproxy_writes() {
        let csv =
            "# pxname,svname,...\nprimary,FRONTEND,,,0,0,4000,0,0,0,0,0,0,,,,,OPEN,\nprimary,node-1,0,0,0,0,,0,0,0,,0,,0,0,0,0,UP,1\n";
        assert_eq!(parse(csv)["primary"]["node-1"], "UP");
        assert_eq!(parse(csv)["primary"].len(), 1);
    }
}
