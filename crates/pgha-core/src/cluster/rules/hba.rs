//! Access lines of pg_hba.conf.

use ipnet::IpNet;
use serde_spanned::Spanned;

use super::super::OWN_ROLES;
use super::Remarks;

/// Refuses a line that would allow plain text, that PostgreSQL could not read, or that could never
/// match.
pub(super) fn check(line: &Spanned<String>, remarks: &mut Remarks) {
    let text = line.get_ref();
    let fields = text.split_whitespace().collect::<Vec<_>>();
    let found = form(text, &fields)
        .or_else(|| source(&fields))
        .or_else(|| method(&fields))
        .or_else(|| names(&fields))
        .or_else(|| reachable(&fields));
    if let Some((message, label, help)) = found {
        remarks.error(line.span(), message, label, help);
    }
}

/// Message, label and help.
type Complaint = (String, &'static str, String);

fn form(text: &str, fields: &[&str]) -> Option<Complaint> {
    let kind = fields.first().copied().unwrap_or_default();
    let (message, label, help) = match kind {
        _ if text.contains(|c: char| c.is_control() || c == '#') || fields.len() < 4 => (
            "not a line of pg_hba.conf".to_owned(),
            "cannot be read",
            "type database user address method",
        ),
        "local" => (
            "`local` lines are pgha's own".to_owned(),
            "refused",
            "only its own daemons and root are on a node",
        ),
        "hostssl" if text.matches('"').count() % 2 == 1 => {
            ("a quote is never closed".to_owned(), "cannot be read", "close it, or leave it out")
        }
        // PostgreSQL would read the next word as another name.
        "hostssl" if fields.iter().any(|field| field.ends_with(',') || field.starts_with(',')) => (
            "a list of names with a space in it".to_owned(),
            "cannot be read",
            "write names with commas alone between them: app,report",
        ),
        "hostssl" => return None,
        _ => (format!("`{kind}` lines allow plain text"), "refused", "use hostssl"),
    };
    Some((message, label, help.to_owned()))
}

fn source(fields: &[&str]) -> Option<Complaint> {
    let reads = fields.len() >= 5 && is_source(fields[3]);
    let help =
        "a network such as 10.0.0.0/8, all, samenet or samehost; nodes have no resolver for names";
    let message = "no address that PostgreSQL could read".to_owned();
    (!reads).then(|| (message, "hostssl database user ADDRESS method", help.to_owned()))
}

fn method(fields: &[&str]) -> Option<Complaint> {
    let (method, options) = (fields[4], &fields[5..]);
    if !METHODS.contains(&method) {
        let help = format!(
            "one of {}: nodes have what these need, and no password goes over the wire",
            METHODS.join(", ")
        );
        let message = format!("`{method}` is no method for a client");
        return Some((message, "hostssl database user address METHOD", help));
    }
    if method == "cert" && options.contains(&"clientcert=verify-ca") {
        let help = "cert always asks for a certificate with the role's name: leave the option out";
        let message = "`cert` with `clientcert=verify-ca`".to_owned();
        return Some((message, "PostgreSQL would not start with it", help.to_owned()));
    }
    let option = options.iter().find(|option| !OPTIONS.contains(option))?;
    let message = format!("`{option}` is no option of these methods");
    Some((message, "expected NAME=VALUE", format!("one of {}", OPTIONS.join(", "))))
}

fn names(fields: &[&str]) -> Option<Complaint> {
    let name = fields[1..3].iter().find(|name| name.starts_with('/'))?;
    let help = "name them one by one: PostgreSQL would not start with one that it cannot read";
    let message = format!("`{name}` is a regular expression");
    Some((message, "hostssl DATABASE USER address method", help.to_owned()))
}

/// pgha's own lines come first, and the first match counts.
fn reachable(fields: &[&str]) -> Option<Complaint> {
    let all = |list: &str, taken: &dyn Fn(&str) -> bool| {
        list.split(',').all(|name| taken(name.trim_matches('"')))
    };
    let why = if all(fields[1], &|name| name == "replication") {
        "replication is for the cluster's own nodes"
    } else if all(fields[2], &|name| OWN_ROLES.contains(&name)) {
        "these roles are the system's, and log in on nodes alone"
    } else {
        return None;
    };
    let help = "pgha's own lines come before it and refuse whoever it is for".to_owned();
    Some((format!("this line can never match: {why}"), "no effect", help))
}

/// If PostgreSQL cannot read a line, it keeps the old lines while it runs, but does not start with
/// the new ones later.
const METHODS: &[&str] = &["scram-sha-256", "cert", "reject"];

/// Without `map`: it would need a pg_ident.conf of the user's.
const OPTIONS: &[&str] =
    &["clientcert=verify-ca", "clientcert=verify-full", "clientname=CN", "clientname=DN"];

fn is_source(text: &str) -> bool {
    ["all", "samehost", "samenet"].contains(&text) || text.parse::<IpNet>().is_ok()
}
