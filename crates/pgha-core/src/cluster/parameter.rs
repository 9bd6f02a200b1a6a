//! PostgreSQL's parameters: which there are, what they take, and which wait for a restart.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

const TABLE: &str = include_str!("parameters.tsv");

static PARAMETERS: LazyLock<BTreeMap<&str, Parameter>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some((line.split('\t').next()?, Parameter::read(line)?))).collect()
});

/// What PostgreSQL calls a value's unit (its manual, section 19.1.1).
const UNITS: &[&str] = &["B", "kB", "MB", "GB", "TB", "us", "ms", "s", "min", "h", "d"];

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
    },
    /// A text, or one of some words, which only the server knows.
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

/// A whole number, also where it is written as text.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

impl Parameter {
    fn read(line: &str) -> Option<Self> {
        let fields = line.split('\t').collect::<Vec<_>>();
        let [_, context, kind, least, most] = fields[..] else {
            return None;
        };
        let number = |whole| {
            Some(Kind::Number { least: least.parse().ok()?, most: most.parse().ok()?, whole })
        };
        let kind = match kind {
            "boolean" => Kind::Boolean,
            "integer" => number(true)?,
            "real" => number(false)?,
            _ => Kind::Text,
        };
        Some(Self { at_start: context == "postmaster", kind })
    }

    /// What it takes instead of `value`. Absent: PostgreSQL can read it.
    pub(crate) fn expects(&self, value: &Value) -> Option<String> {
        match self.kind {
            Kind::Boolean => (!is_boolean(value)).then(|| "on or off".to_owned()),
            Kind::Number { least, most, whole } => {
                let fits = match number(value) {
                    // With a unit the bounds are in another one.
                    Some((_, Some(unit))) => UNITS.contains(&unit),
                    Some((number, None)) => {
                        number >= least && number <= most && (!whole || number.fract() == 0.0)
                    }
                    None => false,
                };
                let kind = if whole { "a whole number" } else { "a number" };
                (!fits).then(|| format!("{kind} from {least} to {most}, or one with a unit such as \"64MB\" or \"30s\" where it has one"))
            }
            Kind::Text => None,
        }
    }
}

/// PostgreSQL takes any beginning of a word that is not ambiguous.
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

/// A number and its unit.
fn number(value: &Value) -> Option<(f64, Option<&str>)> {
    if let Some(number) = value.as_f64() {
        return Some((number, None));
    }
    let text = value.as_str()?.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !['.', '-', '+'].contains(&c))
        .unwrap_or(text.len());
    let unit = text[end..].trim();
    Some((text[..end].parse().ok()?, Some(unit).filter(|unit| !unit.is_empty())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
        ] {
            assert!(expects(name, value.clone()).is_some(), "{name} = {value}");
        }
    }
}
