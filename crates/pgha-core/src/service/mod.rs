//! One file for each service of a node. Only that file defines the service: the contract, the firewall, the files of
//! image and seed, the certificates, the package root and its links are all derived from [`SERVICES`].

pub mod etcd;
mod firewall;
mod guard;
mod haproxy;
mod liveness;
pub mod patroni;
mod patroni_yml;
mod pgbouncer;
mod pools;
mod system;

use std::collections::BTreeMap;

use crate::cluster::{Cluster, Role, RoleSet};
use crate::template::RenderError;

pub(crate) use firewall::{From, Limit, Open};
pub(crate) use pools::{Pool, pools};

/// A file of this project by its path on a node.
macro_rules! node_file {
    ($path:literal) => {
        ($path, include_str!(concat!("../../templates/", $path)))
    };
}
pub(crate) use node_file;

/// Every service, in the order a node starts them.
pub static SERVICES: &[Service] = &[
    system::SERVICE,
    etcd::SERVICE,
    patroni::SERVICE,
    guard::SERVICE,
    liveness::SERVICE,
    haproxy::SERVICE,
    pgbouncer::SERVICE,
];

/// Which nodes a service runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Every,
    Only(Role),
    /// Nodes that can lead, unless the file disables the guard.
    Guarded,
    /// Nodes that serve SQL clients: by a pooler and HAProxy, or by PostgreSQL.
    Serving,
}

/// A file by path and content.
pub(crate) type Named = (&'static str, &'static str);

/// Files by path and content.
pub(crate) type Files = Vec<(String, String)>;

/// What one service is.
pub struct Service {
    /// Its nodes.
    pub(crate) on: On,
    /// User and group that it runs as, with their numeric id. It is the same on every base: a data
    /// volume outlives images.
    pub user: Option<(&'static str, u32)>,
    /// Units that a node of these roles runs for it.
    pub(crate) units: fn(&Cluster, &RoleSet) -> Vec<String>,
    /// Ports that it listens on.
    pub(crate) ports: fn(&Cluster) -> Vec<u16>,
    /// Where sessions of SQL clients begin, by name.
    pub(crate) doors: fn(&Cluster) -> Vec<(&'static str, u16)>,
    /// Who may reach its ports.
    pub(crate) opens: fn(&Cluster) -> Vec<Open>,
    /// How many connections one address may hold.
    pub(crate) limits: fn(&Cluster) -> Vec<Limit>,
    /// Ports that only root and daemons of a node may connect to.
    pub(crate) private: fn(&Cluster) -> Vec<u16>,
    /// Templates of its files in the image.
    pub(crate) templates: &'static [Named],
    /// Files of the image that are not filled-in templates.
    pub(crate) rendered: fn(&Cluster) -> Result<Files, RenderError>,
    /// Programs of pgha that a node runs for it. They are not templates: they read `contract.json`.
    pub(crate) programs: &'static [Named],
    /// Files of the seed without which a node must not start, beside those of its certificates.
    pub(crate) seed: &'static [&'static str],
    /// Files of the seed that its user owns. All others belong to root.
    pub(crate) own: &'static [&'static str],
    /// What it authenticates itself with.
    pub certificates: &'static [Certificate],
    /// Debian packages.
    pub packages: &'static [&'static str],
    /// The packages whose version the manifest lists.
    pub told: &'static [&'static str],
    /// Names in `/etc/pgha/bin` and the programs of Debian behind them. They allow units to be
    /// byte-identical on every base.
    pub links: &'static [(&'static str, &'static str)],
}

/// A service that has nothing. Each service overrides what it has.
const NOTHING: Service = Service {
    on: On::Every,
    user: None,
    units: |_, _| Vec::new(),
    ports: |_| Vec::new(),
    doors: |_| Vec::new(),
    opens: |_| Vec::new(),
    limits: |_| Vec::new(),
    private: |_| Vec::new(),
    templates: &[],
    rendered: |_| Ok(Vec::new()),
    programs: &[],
    seed: &[],
    own: &[],
    certificates: &[],
    packages: &[],
    told: &[],
    links: &[],
};

/// A certificate of a service, and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// Its name: `tls/NAME.crt` and `tls/NAME.key` of the seed.
    pub name: &'static str,
    /// The authority that signs it.
    pub authority: Authority,
    /// Whom it names.
    pub subject: Subject,
    /// What it may be used for. A key that only serves clients gives access to nothing else.
    pub usage: Usage,
    /// Whether it is one file with its key, `tls/NAME.pem`.
    pub in_one: bool,
}

/// The authorities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Signs certificates of everything except etcd.
    Services,
    /// etcd's own: a certificate of the services must not give access to the store that holds the
    /// leader lock.
    Etcd,
}

impl Authority {
    /// Its file, without the extension.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Services => "ca",
            Self::Etcd => "etcd-ca",
        }
    }
}

/// Whom a certificate names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The node, with its address.
    Node,
    /// The node, and every node whose HAProxy leads to it: a client verifies the name of the one it
    /// connects to, but TLS ends here.
    NodeAndRouters,
    /// A role of PostgreSQL.
    Role(&'static str),
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// By a server.
    Serve,
    /// By a client.
    Call,
    /// By both.
    ServeAndCall,
}

impl Usage {
    /// Whether a server may use it.
    pub fn serves(self) -> bool {
        self != Self::Call
    }

    /// Whether a client may use it.
    pub fn calls(self) -> bool {
        self != Self::Serve
    }
}

impl Certificate {
    /// One that the services' authority signs, with its key in a separate file.
    const fn of(name: &'static str, subject: Subject, usage: Usage) -> Self {
        Self { name, authority: Authority::Services, subject, usage, in_one: false }
    }

    /// Its files in the seed.
    fn files(&self) -> Vec<String> {
        let endings: &[&str] = if self.in_one { &["pem"] } else { &["crt", "key"] };
        endings.iter().map(|ending| format!("tls/{}.{ending}", self.name)).collect()
    }

    /// The one of them that holds the key.
    fn key_file(&self) -> String {
        format!("tls/{}.{}", self.name, if self.in_one { "pem" } else { "key" })
    }
}

impl Service {
    fn is_on(&self, role_set: &RoleSet, guarded: bool) -> bool {
        match self.on {
            On::Every => true,
            On::Only(role) => role_set.has(role),
            On::Guarded => guarded && role_set.has(Role::Postgres),
            On::Serving => role_set.has(Role::Haproxy) || role_set.has(Role::Postgres),
        }
    }
}

/// The services of a node of these roles.
pub fn services<'s>(
    cluster: &'s Cluster,
    role_set: &'s RoleSet,
) -> impl Iterator<Item = &'static Service> + 's {
    SERVICES.iter().filter(|service| service.is_on(role_set, cluster.guard))
}

/// What a node of these roles authenticates itself with.
pub fn certificates(role_set: &RoleSet) -> impl Iterator<Item = &'static Certificate> + '_ {
    let on = SERVICES.iter().filter(|service| service.is_on(role_set, true));
    on.flat_map(|service| service.certificates)
}

/// Number of each user and group.
pub fn ids() -> BTreeMap<&'static str, u32> {
    SERVICES.iter().filter_map(|service| service.user).collect()
}

/// Number of the user that owns a file of the seed. Absent: root.
pub fn owner_of(path: &str) -> Option<u32> {
    let owns = |service: &&Service| {
        let mut keys = service.certificates.iter().map(Certificate::key_file);
        service.own.contains(&path) || keys.any(|key| key == path)
    };
    SERVICES.iter().find(owns)?.user.map(|(_, id)| id)
}

/// Files without which a node of these roles must not start, below `/run/pgha`.
pub(crate) fn seed_files(cluster: &Cluster, role_set: &RoleSet) -> Vec<String> {
    let of = |service: &Service| {
        let own = service.seed.iter().map(|file| (*file).to_owned());
        let certificates = service.certificates.iter();
        let certificates = certificates.flat_map(|certificate| {
            let trusted = format!("tls/{}.crt", certificate.authority.file());
            certificate.files().into_iter().chain([trusted])
        });
        own.chain(certificates).collect::<Vec<_>>()
    };
    let mut files = services(cluster, role_set).flat_map(of).collect::<Vec<_>>();
    files.sort_unstable();
    files.dedup();
    files
}
