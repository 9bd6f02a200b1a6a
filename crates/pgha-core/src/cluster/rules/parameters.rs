//! PostgreSQL parameters: which ones a cluster file may set.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::{Base, Durability, Node, Preset, Role, Timing, parameter};
use super::{Remarks, defaults};
use crate::spec::{Spec, nearest};

/// Set by Patroni itself, on the command line or from its own configuration.
const PATRONI: &[&str] = &[
    "listen_addresses",
    "port",
    "cluster_name",
    "hot_standby",
    "synchronous_standby_names",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_target",
    "recovery_target_timeline",
    "restore_command",
    "promote_trigger_file",
    "data_directory",
    "hba_file",
    "ident_file",
    "config_file",
    "external_pid_file",
];

/// Without these a commit can be lost or a page torn.
const NEVER_OFF: &[&str] = &["fsync", "full_page_writes"];

/// The file's parameters over pgha's defaults.
pub(super) fn check(
    spec: &Spec,
    durability: Durability,
    base: Base,
    nodes: &[Node],
    remarks: &mut Remarks,
) -> BTreeMap<String, Value> {
    let mut parameters = defaults::parameters();
    for (key, value) in &spec.postgresql.parameters {
        let (name, span) = (key.get_ref(), key.span());
        let json =
            parameter::spelt(name, serde_json::to_value(value.get_ref()).unwrap_or_default());
        if let Some(owner) = as_it_is(name, &json) {
            let help = "leave it out: it is so in every cluster";
            remarks.warning(
                span,
                format!("`{name}` is set by {owner}, to just this"),
                "not needed",
                help,
            );
            continue;
        }
        one(name, &json, span.clone(), durability, remarks);
        super::base::check(name, &json, base, span, remarks);
        parameters.insert(name.clone(), json);
    }
    enough_for_patroni(spec, &parameters, remarks);
    enough_senders(spec, &parameters, nodes, remarks);
    room_for_clients(spec, &parameters, remarks);
    parameters
}

fn one(
    key: &str,
    value: &Value,
    span: std::ops::Range<usize>,
    durability: Durability,
    remarks: &mut Remarks,
) {
    let refused = misspelt(key).or_else(|| taken(key)).or_else(|| harmful(key, value, durability));
    match refused {
        Some((message, label, help)) => remarks.error(span, message, label, help),
        None if holds_control(value) => remarks.error(
            span,
            format!("the value of `{key}` holds a control character"),
            "cannot be written",
            "postgresql.conf has one line for each parameter: leave line breaks, tabs and NUL out",
        ),
        None if !key.contains('.') => readable(key, value, span, remarks),
        None => {}
    }
}

fn holds_control(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.chars().any(char::is_control))
}

/// Message, label and help of an error.
type Complaint = (String, &'static str, String);

fn misspelt(key: &str) -> Option<Complaint> {
    let lower = key.to_ascii_lowercase();
    if key != lower {
        // PostgreSQL ignores case: two spellings of one parameter would both be passed on.
        let message = format!("`{key}` is written in capitals");
        return Some((message, "not allowed", format!("write `{lower}`")));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let bad = key.is_empty() || !key.chars().all(allowed);
    let help = "letters, digits, underscores and one dot for an extension";
    bad.then(|| (format!("`{key}` is no parameter name"), "not allowed", help.to_owned()))
}

/// Who sets `key` to `value` in every cluster anyway.
fn as_it_is(key: &str, value: &Value) -> Option<&'static str> {
    let is = |wanted: &str| parameter::is_same(value, wanted);
    let timing = Timing::preset(Preset::Fast);
    let own = || parameter::own(&timing).into_iter().find(|(own, _)| *own == key);
    match key {
        "hot_standby" if is("on") => Some("Patroni"),
        "port" if is("5432") => Some("Patroni"),
        "listen_addresses" if is("*") || is("0.0.0.0") => Some("Patroni"),
        // These depend on the preset.
        "tcp_user_timeout" | "wal_sender_timeout" | "wal_receiver_timeout" => None,
        _ => own().filter(|(_, own)| is(own.as_str().unwrap_or_default())).map(|_| "pgha"),
    }
}

fn taken(key: &str) -> Option<Complaint> {
    let own = parameter::own(&Timing::preset(Preset::Fast));
    let (owner, help) = if PATRONI.contains(&key) {
        ("Patroni", "Patroni sets it from the cluster's state and would override this line")
    } else if own.iter().any(|(own, _)| *own == key) {
        ("pgha", "other files of the node depend on its value")
    } else {
        return None;
    };
    Some((format!("`{key}` belongs to {owner}"), "not yours to set", help.to_owned()))
}

fn harmful(key: &str, value: &Value, durability: Durability) -> Option<Complaint> {
    let word = value.as_str().unwrap_or_default().to_ascii_lowercase();
    let (message, help) = match key {
        _ if NEVER_OFF.contains(&key) && is_off(value) => (
            format!("`{key} = off` can corrupt every copy"),
            "a crash could lose or tear acknowledged data",
        ),
        "default_transaction_read_only" if !is_off(value) => (
            "`default_transaction_read_only` would keep every session from writing".to_owned(),
            "set it for single roles: ALTER ROLE ... SET",
        ),
        "idle_session_timeout" if cuts_own_sessions(value) => (
            "`idle_session_timeout` would cut the sessions of Patroni and the pooler".to_owned(),
            "2min at least, or set it for single roles: ALTER ROLE ... SET",
        ),
        "wal_level" if word == "minimal" => {
            ("`wal_level = minimal` forbids replication".to_owned(), "use replica or logical")
        }
        // While no replica is synchronous, Patroni waits for any standby (`*`).
        "wal_level" if word == "logical" && durability == Durability::Strict => (
            "`wal_level = logical` voids strict durability".to_owned(),
            "while no replica is synchronous, PostgreSQL takes whoever reads logical changes for one: choose quorum",
        ),
        "synchronous_commit"
            if durability != Durability::Async && (is_off(value) || word == "local") =>
        {
            (
                format!("`synchronous_commit` off or local voids {durability} durability"),
                "set it for single transactions, or choose async",
            )
        }
        _ => return None,
    };
    Some((message, "refused", help.to_owned()))
}

/// The pooler keeps an idle session for a minute. Patroni keeps its session as long as it lives,
/// and uses it in each of its rounds.
fn cuts_own_sessions(value: &Value) -> bool {
    parameter::milliseconds("idle_session_timeout", value)
        .is_some_and(|ms| 0.0 < ms && ms < 120_000.0)
}

/// PostgreSQL accepts any unambiguous prefix of a word.
fn is_off(value: &Value) -> bool {
    let word = value.as_str().unwrap_or_default().to_ascii_lowercase();
    let begins = |whole: &str| !word.is_empty() && whole.starts_with(&word);
    let spelt = word != "o" && begins("off") || begins("false") || begins("no") || word == "0";
    *value == Value::Bool(false) || value.as_f64() == Some(0.0) || spelt
}

/// Patroni leaves out a parameter that PostgreSQL does not know, with a line in its log. PostgreSQL
/// does not start with a value that it cannot read.
fn readable(key: &str, value: &Value, span: std::ops::Range<usize>, remarks: &mut Remarks) {
    let Some(parameter) = parameter::find(key) else {
        let near = nearest(key, &parameter::names().collect::<Vec<_>>());
        let help = near.map_or(
            "one of an extension has the extension's name and a dot before it".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        return remarks.error(
            span,
            format!("PostgreSQL 17 has no parameter `{key}`"),
            "unknown",
            help,
        );
    };
    if let Some(expected) = parameter.expects(value) {
        // JSON cannot represent a value that is not a number.
        let shown = if value.is_null() { "nan or inf".to_owned() } else { value.to_string() };
        remarks.error(
            span,
            format!("`{key}` cannot be {shown}"),
            "PostgreSQL would not start with it",
            format!("it takes {expected}"),
        );
    }
}

pub(super) fn number(parameters: &BTreeMap<String, Value>, key: &str, default: i64) -> i64 {
    parameters.get(key).and_then(parameter::whole).unwrap_or(default)
}

/// Connections that only superusers and roles with `pg_use_reserved_connections` get.
pub(super) fn reserved(parameters: &BTreeMap<String, Value>) -> i64 {
    number(parameters, "superuser_reserved_connections", 3).saturating_add(number(
        parameters,
        "reserved_connections",
        0,
    ))
}

/// PostgreSQL does not start if all its connections are reserved.
fn room_for_clients(spec: &Spec, parameters: &BTreeMap<String, Value>, remarks: &mut Remarks) {
    let all = number(parameters, "max_connections", 100);
    let reserved = reserved(parameters);
    if all <= reserved {
        let span = span_of(spec, "max_connections");
        let message = format!("`max_connections = {all}` leaves no connection for clients");
        remarks.error(
            span,
            message,
            "too small",
            format!(
                "{reserved} are reserved for superusers and roles with pg_use_reserved_connections"
            ),
        );
    }
}

/// Patroni 4.1 silently raises values below these (`postgresql/config.py`).
const PATRONI_LEAST: &[(&str, i64)] =
    &[("max_connections", 25), ("max_locks_per_transaction", 32), ("max_worker_processes", 2)];

fn enough_for_patroni(spec: &Spec, parameters: &BTreeMap<String, Value>, remarks: &mut Remarks) {
    for (key, least) in PATRONI_LEAST {
        let value = number(parameters, key, *least);
        if value < *least {
            let message = format!("`{key} = {value}` is too small");
            let help = "Patroni would raise it to that, and the file would not be true";
            remarks.error(span_of(spec, key), message, format!("at least {least}"), help);
        }
    }
}

/// Where the file sets `key`.
pub(super) fn span_of(spec: &Spec, key: &str) -> std::ops::Range<usize> {
    let keys = spec.postgresql.parameters.keys();
    keys.into_iter().find(|k| k.get_ref() == key).map_or(0..0, |k| k.span())
}

/// Each replica needs a sender and a slot. Two more are for a base backup and an overlapping
/// replacement.
fn enough_senders(
    spec: &Spec,
    parameters: &BTreeMap<String, Value>,
    nodes: &[Node],
    remarks: &mut Remarks,
) {
    let needed = nodes.iter().filter(|node| node.role_set.has(Role::Postgres)).count() as i64 + 2;
    for key in ["max_wal_senders", "max_replication_slots"] {
        let value = number(parameters, key, 10);
        if value < needed {
            remarks.error(
                span_of(spec, key),
                format!("`{key} = {value}` is too small"),
                format!("at least {needed}"),
                "one for each postgres node, and two for base backups",
            );
        }
    }
}
