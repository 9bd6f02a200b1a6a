//! Roles, databases and extensions: what the cluster file declares against what is there.

use crate::cluster::Cluster;
use crate::inventory::Observed;

/// Every declared object, as `role NAME`, `database NAME` or `extension NAME in DATABASE`.
pub fn declared(cluster: &Cluster) -> Vec<String> {
    let databases = &cluster.postgresql.databases;
    let roles = cluster.postgresql.users.iter().map(|user| format!("role {user}"));
    let names = databases.iter().map(|database| format!("database {}", database.name));
    let extensions = databases.iter().flat_map(|database| {
        database
            .extensions
            .iter()
            .map(|extension| format!("extension {extension} in {}", database.name))
    });
    roles.chain(names).chain(extensions).collect()
}

/// Declared objects that are not there. None when nobody could say what is.
pub(super) fn missing(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let Some(objects) = &observed.objects else {
        return Vec::new();
    };
    declared(cluster).into_iter().filter(|object| !objects.contains(object)).collect()
}

/// Remarks about what no line of the file declares. pgha drops nothing. Of extensions only those in
/// databases with declared ones are known, and every database has PL/pgSQL.
pub(super) fn undeclared(cluster: &Cluster, observed: &Observed) -> Vec<String> {
    let declared = declared(cluster);
    let objects = observed.objects.iter().flatten();
    let extra = objects.filter(|object| {
        !declared.contains(object) && !object.starts_with("extension plpgsql in ")
    });
    extra.map(|object| format!("{object} is not in the cluster file; it is left alone")).collect()
}
