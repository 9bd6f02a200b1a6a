//! Login roles, databases and access lines.

use std::collections::BTreeSet;

use serde_spanned::Spanned;

use super::super::OWN_ROLES;
use super::super::contrib::CONTRIB;
use super::{Database, Remarks, hba};
use crate::spec::{Spec, nearest};

/// Other password files in the secrets directory: a role of that name would share its password with
/// a daemon.
const PASSWORDS: &[&str] = &["rest-api", "haproxy-stats"];

pub(super) fn check(spec: &Spec, remarks: &mut Remarks) -> (Vec<String>, Vec<Database>) {
    let section = &spec.postgresql;
    section.hba.iter().for_each(|line| hba::check(line, remarks));
    if let Some(line) = section.hba.first().filter(|_| spec.network.direct_clients.is_empty()) {
        let help = "clients of the poolers need no line; name the networks of others in `network.direct_clients`";
        remarks.warning(
            line.span(),
            "only the nodes can reach PostgreSQL itself: a line lets nobody in unless it names their addresses",
            "port 5432 is closed",
            help,
        );
    }
    let users = match &section.users {
        Some(users) => {
            if users.get_ref().is_empty() {
                remarks.error(
                    users.span(),
                    "nobody could log in",
                    "no user",
                    "leave `users` out for one called `app`",
                );
            }
            unique("users", users.get_ref().iter().map(|user| &user.name), remarks);
            users.get_ref().iter().map(|user| login(&user.name, remarks)).collect()
        }
        None => vec!["app".to_owned()],
    };
    spec.node.get_ref().iter().for_each(|node| no_role(&node.name, &users, remarks));
    let databases = match &section.databases {
        Some(databases) => {
            unique("databases", databases.iter().map(|database| &database.name), remarks);
            databases.iter().for_each(|database| available(&database.extensions, remarks));
            databases.iter().map(|database| checked(database, &users, remarks)).collect()
        }
        None if users.iter().any(|user| user == "app") => {
            vec![Database {
                name: "app".to_owned(),
                owner: "app".to_owned(),
                extensions: Vec::new(),
            }]
        }
        None => Vec::new(),
    };
    (users, databases)
}

/// A certificate names a node or a role: one must not be accepted as the other.
fn no_role(node: &Spanned<String>, users: &[String], remarks: &mut Remarks) {
    let text = node.get_ref();
    let message = || format!("a role of PostgreSQL is called `{text}`, too");
    let help = "give the node another name: its certificate would be taken for the role's";
    if OWN_ROLES.contains(&text.as_str()) {
        remarks.error(node.span(), message(), "the node", help);
    } else if users.contains(text) {
        let help = "a line in `postgresql.hba` with `cert` would take the node's certificate for the role's";
        remarks.warning(node.span(), message(), "the node", help);
    }
}

fn unique<'s>(of: &str, names: impl Iterator<Item = &'s Spanned<String>>, remarks: &mut Remarks) {
    let mut seen = BTreeSet::new();
    for name in names.filter(|name| !seen.insert(name.get_ref())) {
        remarks.error(
            name.span(),
            format!("two {of} are called `{}`", name.get_ref()),
            "the second",
            "remove one of them",
        );
    }
}

fn login(name: &Spanned<String>, remarks: &mut Remarks) -> String {
    identifier(name, remarks);
    let text = name.get_ref();
    if OWN_ROLES.contains(&text.as_str())
        || PASSWORDS.contains(&text.as_str())
        || text.starts_with("pg_")
    {
        remarks.error(
            name.span(),
            format!("`{text}` is a role of the system"),
            "reserved",
            "choose another name",
        );
    }
    text.clone()
}

fn checked(
    database: &crate::spec::DatabaseSection,
    users: &[String],
    remarks: &mut Remarks,
) -> Database {
    identifier(&database.name, remarks);
    let (name, owner) = (database.name.get_ref(), database.owner.get_ref());
    if ["postgres", "template0", "template1", "pgbouncer", "pgha_verify"].contains(&name.as_str()) {
        remarks.error(
            database.name.span(),
            format!("`{name}` is a database of the system"),
            "reserved",
            "choose another name",
        );
    }
    if !users.contains(owner) {
        let help = format!("add `{{ name = \"{owner}\" }}` to `postgresql.users`");
        remarks.error(
            database.owner.span(),
            format!("no user is called `{owner}`"),
            "unknown owner",
            help,
        );
    }
    database.extensions.iter().for_each(|extension| identifier(extension, remarks));
    Database {
        name: name.clone(),
        owner: owner.clone(),
        extensions: database.extensions.iter().map(|e| e.get_ref().clone()).collect(),
    }
}

/// A warning only: `pgha build --base nixos` adds packages for them.
fn available(extensions: &[Spanned<String>], remarks: &mut Remarks) {
    for name in extensions.iter().filter(|name| !CONTRIB.contains(&name.get_ref().as_str())) {
        let help = nearest(name.get_ref(), CONTRIB)
            .map_or("it has PostgreSQL's contrib modules".to_owned(), |near| {
                format!("did you mean `{near}`?")
            });
        remarks.warning(
            name.span(),
            format!("`{}` is no extension of the debian base", name.get_ref()),
            "local nodes cannot create it",
            help,
        );
    }
}

/// Names go into SQL, DSNs and PgBouncer's files. Only characters that need no quoting in any of
/// them are allowed.
fn identifier(name: &Spanned<String>, remarks: &mut Remarks) {
    let text = name.get_ref();
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if text.is_empty()
        || text.len() > 63
        || !text.chars().all(allowed)
        || !text.starts_with(|c: char| c.is_ascii_lowercase())
    {
        let help = "lower-case letters, digits, underscores and hyphens, beginning with a letter, at most 63 characters";
        remarks.error(
            name.span(),
            format!("`{text}` is no name for a role, database or extension"),
            "not allowed",
            help,
        );
    }
}
