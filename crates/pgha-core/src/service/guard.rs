//! The fence: it stops a PostgreSQL whose Patroni no longer says that it leads.

use super::{NOTHING, On, Service, node_file};

pub(super) const SERVICE: Service = Service {
    on: On::Guarded,
    units: |_, _| vec!["pgha-guard.service".to_owned()],
    templates: &[node_file!("etc/systemd/system/pgha-guard.service")],
    programs: &[node_file!("etc/pgha/lib/pgha-guard")],
    ..NOTHING
};
