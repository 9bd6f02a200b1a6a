//! PostgreSQL's parameters: which exist, what they accept, and which wait for a restart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Timing;
use super::number::number;

const TABLE: &str = include_str!("parameters.tsv");

static PARAMETERS: LazyLock<BTreeMap<&str, Parameter>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some((line.split('\t').next()?, Parameter::read(line)?))).collect()
});

/// Units of memory with their bytes, and of time with their microseconds (PostgreSQL's manual,
/// section 19.1.1). pg_settings also counts in blocks.
const MEMORY: &[(&str, f64)] = &[
    ("B", 1.0),
    ("kB", 1024.0),
    ("8kB", 8192.0),
    ("MB", 1048576.0),
    ("GB", 1073741824.0),
    ("TB", 1099511627776.0),
];
const TIME: &[(&str, f64)] =
    &[("us", 1.0), ("ms", 1e3), ("s", 1e6), ("min", 6e7), ("h", 3.6e9), ("d", 8.64e10)];

/// One parameter.
pub(crate) struct Parameter {
    at_start: bool,
    kind: Kind,
}

enum Kind {
    Boolean,
    Number {
        least: f64,
        most: f64,
        whole: bool,
        /// Unit of the bounds, and of values given without a unit.
        unit: Option<&'static str>,
    },
    Words(&'static str),
    /// Only the server knows what it accepts.
    Text,
}

/// The parameter called `name`, if PostgreSQL 17 has one. Those of extensions have a dot in their
/// name and are not known here.
pub(crate) fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.get(name)
}

/// Every name.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PARAMETERS.keys().copied()
}

/// Whether PostgreSQL reads it only when it starts.
pub(crate) fn waits_for_restart(name: &str) -> bool {
    // The one extension that every cluster loads.
    name == "pg_stat_statements.max" || find(name).is_some_and(|parameter| parameter.at_start)
}

/// Words that PostgreSQL accepts but does not list in pg_settings, and what they mean
/// (guc_tables.c).
const HIDDEN_WORDS: &[(&str, &str, &str)] = &[
    ("wal_level", "hot_standby", "replica"),
    ("wal_level", "archive", "replica"),
    ("log_min_messages", "debug", "debug2"),
    ("log_min_error_statement", "debug", "debug2"),
    ("client_min_messages", "debug", "debug2"),
    ("client_min_messages", "info", "info"),
    ("client_min_messages", "fatal", "fatal"),
    ("client_min_messages", "panic", "panic"),
];

/// The value, with its word spelt as in pg_settings.
pub(crate) fn spelt(name: &str, value: Value) -> Value {
    let word = value.as_str().unwrap_or_default().to_ascii_lowercase();
    let hidden = HIDDEN_WORDS.iter().find(|(of, hidden, _)| *of == name && *hidden == word);
    hidden.map_or(value, |(_, _, means)| json!(means))
}

/// Whether PostgreSQL treats both as the same, as far as words, booleans and whole numbers go.
pub(crate) fn is_same(value: &Value, other: &str) -> bool {
    let boolean = |value: &Value| is_boolean(value).then(|| is_true(value));
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let booleans = boolean(value).zip(boolean(&json!(other)));
    text.eq_ignore_ascii_case(other) || booleans.is_some_and(|(value, other)| value == other)
}

/// Whether a value that [`is_boolean`] accepts is true.
fn is_true(value: &Value) -> bool {
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_ascii_lowercase);
    ["1", "on"].contains(&word.as_str()) || "true".starts_with(&word) || "yes".starts_with(&word)
}

/// A whole number, also where it is written as text.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// What pgha sets in every cluster, because other files of the node depend on it.
pub(crate) fn own(timing: &Timing) -> [(&'static str, Value); 13] {
    let seconds = |seconds: u32| json!(format!("{seconds}s"));
    [
        ("ssl", json!("on")),
        ("ssl_cert_file", json!("/run/pgha/tls/postgres.crt")),
        ("ssl_key_file", json!("/run/pgha/tls/postgres.key")),
        ("ssl_ca_file", json!("/run/pgha/tls/ca.crt")),
        ("ssl_min_protocol_version", json!("TLSv1.2")),
        ("password_encryption", json!("scram-sha-256")),
        ("unix_socket_directories", json!("/run/postgresql")),
        ("wal_log_hints", json!("on")),
        // What ALTER SYSTEM writes would outlive every change of the cluster file, and override it.
        ("allow_alter_system", json!("off")),
        // Its library is not in the image: 130 MB for queries that an OLTP primary rarely has.
        ("jit", json!("off")),
        ("tcp_user_timeout", seconds(timing.tcp_user_timeout)),
        ("wal_sender_timeout", seconds(timing.wal_timeout)),
        ("wal_receiver_timeout", seconds(timing.wal_timeout)),
    ]
}

impl Parameter {
    fn read(line: &'static str) -> Option<Self> {
        let fields = line.split('\t').collect::<Vec<_>>();
        let [_, context, kind, least, most, unit, words] = fields[..] else { return None };
        let number = |whole| {
            let (least, most) = (least.parse().ok()?, most.parse().ok()?);
            Some(Kind::Number { least, most, whole, unit: Some(unit).filter(|u| !u.is_empty()) })
        };
        let kind = match kind {
            "boolean" => Kind::Boolean,
            "integer" => number(true)?,
            "real" => number(false)?,
            "enum" => Kind::Words(words),
            _ => Kind::Text,
        };
        Some(Self { at_start: context == "postmaster", kind })
    }

    /// What it accepts instead of `value`. Absent: PostgreSQL can read it.
    pub(crate) fn expects(&self, value: &Value) -> Option<String> {
        match self.kind {
            Kind::Boolean => (!is_boolean(value)).then(|| "on or off".to_owned()),
            Kind::Words(words) => {
                let known = |word: &str| words.split(',').any(|w| w.eq_ignore_ascii_case(word));
                let word = value.as_str().unwrap_or_default();
                // Parameters that were booleans once still accept every boolean.
                let fits = known(word) || known("on") && is_boolean(value);
                (!fits).then(|| format!("one of {}", words.replace(',', ", ")))
            }
            Kind::Number { least, most, whole, unit } => {
                let fits = number(value).and_then(|(number, given)| convert(number, given, unit));
                let is_whole = |number: f64| !whole || unit.is_some() || number.fract() == 0.0;
                let fits = fits.is_some_and(|n| n >= least && n <= most && is_whole(n));
                (!fits).then(|| range(least, most, whole, unit))
            }
            Kind::Text => None,
        }
    }
}

/// A memory parameter in bytes. Absent: it is not a memory parameter, or PostgreSQL could not read
/// `value`.
pub(crate) fn bytes(name: &str, value: &Value) -> Option<u64> {
    measured(name, value, "B").filter(|bytes| *bytes >= 0.0).map(|bytes| bytes as u64)
}

/// A time parameter in milliseconds. Absent: it is not a time parameter, or PostgreSQL could not
/// read `value`.
pub(crate) fn milliseconds(name: &str, value: &Value) -> Option<f64> {
    measured(name, value, "ms")
}

fn measured(name: &str, value: &Value, unit: &str) -> Option<f64> {
    let Kind::Number { unit: Some(own), .. } = find(name)?.kind else { return None };
    let (amount, given) = number(value)?;
    convert(amount, Some(given.unwrap_or(own)), Some(unit))
}

/// `number` converted to `unit`. Absent: the unit it was given in measures something else.
fn convert(number: f64, given: Option<&str>, unit: Option<&str>) -> Option<f64> {
    let Some(given) = given else { return Some(number) };
    let unit = unit?;
    [MEMORY, TIME].into_iter().find_map(|units| {
        let size = |name: &str| Some(units.iter().find(|(known, _)| *known == name)?.1);
        Some(number * size(given)? / size(unit)?)
    })
}

/// The bounds as people read them.
fn range(least: f64, most: f64, whole: bool, unit: Option<&str>) -> String {
    let kind = if whole { "a whole number" } else { "a number" };
    let bounds = if most > 1e300 {
        format!("of at least {least}")
    } else {
        format!("from {least} to {most}")
    };
    match unit {
        None => format!("{kind} {bounds}"),
        Some(unit) => {
            let units = if TIME.iter().any(|(name, _)| *name == unit) { TIME } else { MEMORY };
            let names = units.iter().map(|(name, _)| *name).filter(|name| *name != "8kB");
            let names = names.collect::<Vec<_>>().join(", ");
            format!("{kind} {bounds} ({unit}), or one with a unit: {names}")
        }
    }
}

/// PostgreSQL accepts any unambiguous prefix of a word.
fn is_boolean(value: &Value) -> bool {
    let word = match value {
        Value::Bool(_) => return true,
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_ascii_lowercase(),
    };
    let begins = |whole: &&str| !word.is_empty() && whole.starts_with(&word);
    ["1", "0", "on", "of", "off"].contains(&word.as_str())
        || ["true", "false", "yes", "no"].iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expects(name: &str, value: Value) -> Option<String> {
        find(name).expect("a parameter").expects(&value)
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        assert_eq!(PARAMETERS.len(), TABLE.lines().filter(|line| !line.starts_with('#')).count());
        assert!(PARAMETERS.len() > 300);
    }

    #[test]
    fn what_postgresql_takes_is_taken() {
        for (name, value) in [
            ("work_mem", json!("64MB")),
            ("work_mem", json!("1.5 GB")),
            ("max_connections", json!("200")),
            ("wal_buffers", json!(-1)),
            ("random_page_cost", json!(1.1)),
            ("fsync", json!("on")),
            ("fsync", json!("t")),
            ("statement_timeout", json!("30s")),
            ("wal_level", json!("logical")),
            ("synchronous_commit", json!("remote_apply")),
            ("synchronous_commit", json!(true)),
            ("wal_compression", json!("lz4")),
            ("default_transaction_isolation", json!("repeatable read")),
            ("ssl_max_protocol_version", json!("TLSv1.3")),
            ("checkpoint_timeout", json!("1h")),
            ("shared_buffers", json!("1GB")),
            ("autovacuum_work_mem", json!(-1)),
            ("log_min_duration_statement", json!("1.5s")),
            ("log_file_mode", json!("0640")),
            ("max_connections", json!("0x64")),
            ("max_connections", json!("1e2")),
            ("work_mem", json!("1e2kB")),
            ("wal_level", spelt("wal_level", json!("hot_standby"))),
            ("log_min_messages", spelt("log_min_messages", json!("DEBUG"))),
            ("checkpoint_completion_target", json!("0.5")),
            ("autovacuum_naptime", json!("0x3cs")),
        ] {
            assert_eq!(expects(name, value.clone()), None, "{name} = {value}");
        }
    }

    #[test]
    fn what_it_could_not_read_is_refused() {
        for (name, value) in [
            ("shared_buffers", json!("128 elephants")),
            ("max_connections", json!("lots")),
            ("max_connections", json!(0)),
            ("max_connections", json!(1.5)),
            ("random_page_cost", json!(-1)),
            ("fsync", json!("perhaps")),
            ("fsync", json!("o")),
            ("work_mem", json!("64mb")),
            ("work_mem", json!("99999999TB")),
            ("max_connections", json!("0x")),
            ("max_connections", json!("08")),
            ("max_connections", json!("5MB")),
            ("checkpoint_timeout", json!("5GB")),
            ("wal_level", json!("banana")),
            ("default_transaction_isolation", json!("read")),
        ] {
            assert!(expects(name, value.clone()).is_some(), "{name} = {value}");
        }
    }
}
