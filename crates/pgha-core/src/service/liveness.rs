//! Kills daemons that accept connections but do not answer.

use super::{NOTHING, On, Service, node_file};

pub(super) const SERVICE: Service = Service {
    on: On::Serving,
    units: |_, _| vec!["pgha-liveness.service".to_owned()],
    templates: &[node_file!("etc/systemd/system/pgha-liveness.service")],
    programs: &[node_file!("etc/pgha/lib/pgha-liveness")],
    ..NOTHING
};
