//! It kills what takes connections and answers nobody.

use super::{NOTHING, On, Service, node_file};

pub(super) const SERVICE: Service = Service {
    on: On::Serving,
    units: |_, _| vec!["pgha-liveness.service".to_owned()],
    templates: &[node_file!("etc/systemd/system/pgha-liveness.service")],
    programs: &[node_file!("etc/pgha/lib/pgha-liveness")],
    ..NOTHING
};
