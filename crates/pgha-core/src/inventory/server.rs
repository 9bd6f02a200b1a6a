//! One server, and the labels that are all the state pgha keeps of it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::data_format::DataFormat;
use crate::digest::Digest;

/// What a provider stores with a server: values of at most 63 characters `[A-Za-z0-9._-]`, as
/// Hetzner Cloud accepts them (docs.hetzner.cloud, Labels).
pub type Labels = BTreeMap<String, String>;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Name of the node.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it is running.
    pub running: bool,
    /// What it boots from.
    pub given: Given,
    /// What a rollback returns to: the last image and seed that proved themselves before the
    /// current ones.
    pub previous: Option<Given>,
    /// Number of the roll that gave it its image and seed. 0: it was created with them, or went
    /// back to them.
    pub generation: u32,
    /// Whether it has held a gate with what it was given.
    pub proven: bool,
    /// Number of the last roll that was undone on it.
    pub undone: u32,
    /// Digest of all images and seeds that were desired when it got its own. All servers of a roll
    /// have the same.
    pub wish: Option<Digest>,
    /// When the first certificate of its seed expires, in seconds since 1970. Absent: its provider
    /// does not know.
    pub certificates_end: Option<i64>,
    /// Whether that time has passed: then no client connects to its daemons any more.
    pub expired: bool,
    /// Digest of the dynamic configuration with which the cluster was last healthy, or was created.
    /// Absent: its provider does not know.
    pub dynamic: Option<Digest>,
    /// The roles it was made for, as its image is called. Absent: its provider does not know.
    pub roles: Option<String>,
    /// Format of its data. Absent: it holds no data, or its provider does not know.
    pub data: Option<DataFormat>,
    /// When it was given its image and seed, in RFC 3339. Absent: its provider does not know.
    pub since: Option<String>,
    /// Whether the cluster has ever been healthy with this server. From then on its data matters.
    pub formed: bool,
    /// What distinguishes its cluster from others of the same name. Absent: its provider does not
    /// know.
    pub identity: Option<Digest>,
}

/// What a server boots from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Digest of the image.
    pub image: Digest,
    /// Digest of the seed.
    pub seed: Digest,
}

impl Server {
    /// A server as its labels describe it. `now`: seconds since 1970. What an older pgha did not
    /// label is unknown; what it gave counts as proven.
    pub fn read(name: &str, address: Ipv4Addr, running: bool, labels: &Labels, now: i64) -> Self {
        let text = |key: &str| labels.get(key).filter(|value| !value.is_empty()).cloned();
        let digest = |key: &str| text(key).map(Digest::from);
        let number = |key: &str| text(key).and_then(|value| value.parse().ok());
        let given =
            |image: &str, seed: &str| Some(Given { image: digest(image)?, seed: digest(seed)? });
        let data = || {
            let postgresql = text("postgresql")?.parse().ok()?;
            Some(DataFormat { postgresql, collations: text("collations").unwrap_or_default() })
        };
        let nothing =
            || Given { image: Digest::from(String::new()), seed: Digest::from(String::new()) };
        let certificates_end = text("certificates_end").and_then(|end| end.parse().ok());
        Self {
            name: name.to_owned(),
            address,
            running,
            given: given("image", "seed").unwrap_or_else(nothing),
            previous: given("previous_image", "previous_seed"),
            generation: number("generation").unwrap_or(0),
            proven: text("proven").as_deref() != Some("no"),
            undone: number("undone").unwrap_or(0),
            wish: digest("wish"),
            certificates_end,
            expired: certificates_end.is_some_and(|end| end <= now),
            dynamic: digest("dynamic"),
            roles: text("roles"),
            data: data(),
            since: text("since").map(|since| extended(&since)),
            formed: text("formed").as_deref() == Some("yes"),
            identity: digest("identity"),
        }
    }

    /// Its labels: all that [`Server::read`] reads, and nothing else.
    pub fn labels(&self) -> Labels {
        let id = |digest: &Digest| digest.id().to_owned();
        let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
        let (previous, data) = (self.previous.as_ref(), self.data.as_ref());
        let labels = [
            ("image", Some(id(&self.given.image))),
            ("seed", Some(id(&self.given.seed))),
            ("previous_image", previous.map(|previous| id(&previous.image))),
            ("previous_seed", previous.map(|previous| id(&previous.seed))),
            ("generation", Some(self.generation.to_string())),
            ("proven", Some(yes(self.proven))),
            ("undone", Some(self.undone.to_string())),
            ("wish", self.wish.as_ref().map(id)),
            ("certificates_end", self.certificates_end.map(|end| end.to_string())),
            ("dynamic", self.dynamic.as_ref().map(id)),
            ("roles", self.roles.clone()),
            ("postgresql", data.map(|data| data.postgresql.to_string())),
            ("collations", data.map(|data| data.collations.clone())),
            ("since", self.since.as_deref().map(basic)),
            ("formed", Some(yes(self.formed))),
            ("identity", self.identity.as_ref().map(id)),
        ];
        labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// What a rollback returns to once the server is given something else: its current image and seed if they are
    /// proven and its certificates have not expired. If they are not proven: the previous ones.
    pub fn way_back(&self) -> Option<&Given> {
        let has = Some(&self.given).filter(|_| !self.expired);
        if self.proven { has } else { self.previous.as_ref() }
    }
}

/// A label holds no colon: 2026-11-28T18:00:00Z is 20261128T180000Z there (ISO 8601, basic format).
fn basic(time: &str) -> String {
    time.replace(['-', ':'], "")
}

fn extended(time: &str) -> String {
    let part = |from, to| time.get(from..to).unwrap_or_default();
    match time.len() {
        16 => [part(0, 4), "-", part(4, 6), "-", part(6, 11), ":", part(11, 13), ":", part(13, 16)]
            .concat(),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Server {
        let given = |what: &str| Given {
            image: Digest::of(format!("image {what}").as_bytes()),
            seed: Digest::of(format!("seed {what}").as_bytes()),
        };
        let versions = [("libc6", "2.42~rc1+b1-7"), ("libicu76", "76.1-4"), ("libicu78", "78.2-1")];
        let versions = versions.map(|(name, version)| (name.to_owned(), version.to_owned()));
        Server {
            name: "node-1".to_owned(),
            address: [10, 0, 0, 1].into(),
            running: true,
            given: given("now"),
            previous: Some(given("before")),
            generation: u32::MAX,
            proven: false,
            undone: u32::MAX,
            wish: Some(Digest::of(b"wish")),
            certificates_end: Some(4_102_444_800),
            expired: true,
            dynamic: Some(Digest::of(b"dynamic")),
            roles: Some("etcd-haproxy-postgres".to_owned()),
            data: Some(DataFormat::of(17, &versions.into())),
            since: Some("2026-11-28T18:00:00Z".to_owned()),
            formed: true,
            identity: Some(Digest::of(b"identity")),
        }
    }

    #[test]
    fn labels_tell_all_of_a_server() {
        let server = full();
        let read = |labels: &Labels| Server::read("node-1", server.address, true, labels, i64::MAX);
        assert_eq!(read(&server.labels()), server);
        let none = read(&Labels::new());
        assert_eq!(read(&none.labels()), none);
    }

    #[test]
    fn labels_are_taken_by_every_provider() {
        for (key, value) in full().labels() {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(value.len() <= 63 && value.chars().all(fits), "{key}: {value}");
            let ends = [value.chars().next(), value.chars().last()];
            assert!(ends.iter().flatten().all(char::is_ascii_alphanumeric), "{key}: {value}");
        }
    }

    #[test]
    fn only_what_proved_itself_is_gone_back_to() {
        let server = full();
        assert_eq!(server.way_back(), server.previous.as_ref());
        let proven = Server { proven: true, expired: false, ..full() };
        assert_eq!(proven.way_back(), Some(&proven.given));
        assert_eq!(Server { proven: true, ..full() }.way_back(), None);
        assert_eq!(Server { previous: None, ..full() }.way_back(), None);
    }
}
