//! Compares the text with the schema, so that every misspelt key, wrong type and missing value is
//! reported at once.
//!
//! The schema is the one `pgha schema` prints: what an editor underlines and what `pgha check`
//! refuses are the same.

use std::ops::Range;

use serde_json::Value;
use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;

/// The text as a table, or every place that is no TOML.
pub(super) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<Diagnostic>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mistakes = errors.iter().map(|error| syntax(text, error)).collect::<Vec<_>>();
    if mistakes.is_empty() { Ok(table) } else { Err(mistakes) }
}

/// Everything about the shape of `table` that `schema` does not allow.
pub(super) fn check(table: &DeTable<'_>, schema: &Value) -> Vec<Diagnostic> {
    let mut walk = Walk { root: schema, found: Vec::new() };
    walk.table(table, 0..0, schema, "the file");
    walk.found.sort_by_key(|diagnostic| diagnostic.span.start);
    walk.found
}

/// What is missing has no length: point at the character before which it is missed.
fn syntax(text: &str, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let end =
        span.end.max(span.start + text[span.start..].chars().next().map_or(0, char::len_utf8));
    let span = span.start..end;
    match error.message() {
        "duplicate key" => {
            let name = text.get(span.clone()).unwrap_or_default().to_owned();
            Diagnostic::error(span, format!("`{name}` is there twice"), "the second time")
                .help("keep one of the two")
        }
        message => Diagnostic::error(span, message, "here"),
    }
}

struct Walk<'s> {
    root: &'s Value,
    found: Vec<Diagnostic>,
}

impl<'s> Walk<'s> {
    fn value(&mut self, value: &Spanned<DeValue<'_>>, schema: &'s Value, name: &str) {
        let schema = self.resolve(schema);
        let fits = match value.get_ref() {
            DeValue::Table(table) if accepts(schema, "object") => {
                return self.table(table, value.span(), schema, name);
            }
            DeValue::Array(items) if accepts(schema, "array") => {
                return items.iter().for_each(|item| self.value(item, &schema["items"], name));
            }
            DeValue::String(text) => return self.string(text, value.span(), schema, name),
            DeValue::Integer(digits) => return self.integer(digits, value.span(), schema, name),
            DeValue::Float(_) => accepts(schema, "number"),
            DeValue::Boolean(_) => accepts(schema, "boolean"),
            _ => false,
        };
        if !fits {
            self.wrong_type(value.get_ref().type_str(), value.span(), schema, name);
        }
    }

    fn table(&mut self, table: &DeTable<'_>, span: Range<usize>, schema: &'s Value, name: &str) {
        let properties = schema["properties"].as_object();
        for (key, value) in table {
            let known = properties.and_then(|p| p.get(key.get_ref().as_ref()));
            match known
                .or_else(|| schema.get("additionalProperties").filter(|extra| extra.is_object()))
            {
                Some(property) => self.value(value, property, key.get_ref()),
                None => self.unknown_key(key, schema, name),
            }
        }
        let required =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for key in required.filter(|key| !table.keys().any(|k| k.get_ref() == key)) {
            let cure = if name == "the file" {
                format!("add `{key}`")
            } else {
                format!("add `{key}` to `{name}`")
            };
            self.found.push(
                Diagnostic::error(span.clone(), format!("`{key}` is missing from {name}"), "here")
                    .help(cure),
            );
        }
    }

    fn unknown_key(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        schema: &Value,
        name: &str,
    ) {
        let known = schema["properties"]
            .as_object()
            .map(|p| p.keys().map(String::as_str).collect::<Vec<_>>())
            .unwrap_or_default();
        let message = format!("unknown key `{}` in {name}", key.get_ref());
        let help = match nearest(key.get_ref(), &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        self.found
            .push(Diagnostic::error(key.span(), message, "not a key of this section").help(help));
    }

    fn string(&mut self, text: &str, span: Range<usize>, schema: &Value, name: &str) {
        let names = names(schema);
        if !names.is_empty() && !names.contains(&text) {
            let help = match nearest(text, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("one of: {}", names.join(", ")),
            };
            self.found.push(
                Diagnostic::error(
                    span,
                    format!("`{text}` is not a value of `{name}`"),
                    "unknown value",
                )
                .help(help),
            );
        } else if names.is_empty() && !accepts(schema, "string") {
            self.wrong_type("string", span, schema, name);
        }
    }

    fn integer(
        &mut self,
        digits: &toml::de::DeInteger<'_>,
        span: Range<usize>,
        schema: &Value,
        name: &str,
    ) {
        if !accepts(schema, "integer") && !accepts(schema, "number") {
            return self.wrong_type("integer", span, schema, name);
        }
        let text = digits.as_str().replace('_', "");
        let Ok(number) = i64::from_str_radix(&text, digits.radix()) else {
            return self.found.push(Diagnostic::error(
                span,
                format!("`{name}` is too large"),
                "does not fit",
            ));
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        // The schema leaves the largest number of a width to its name.
        let widest = (schema["format"] == "uint32").then_some(i64::from(u32::MAX));
        let (low, high) = (bound("minimum"), bound("maximum").or(widest));
        if low.is_some_and(|low| number < low) || high.is_some_and(|high| number > high) {
            let range = match (low, high.filter(|high| Some(*high) != widest)) {
                (Some(low), Some(high)) => format!("between {low} and {high}"),
                (Some(low), None) if number < low => format!("at least {low}"),
                _ => format!("at most {}", high.unwrap_or(i64::MAX)),
            };
            self.found.push(Diagnostic::error(
                span,
                format!("`{name}` must be {range}"),
                "out of range",
            ));
        } else if schema.get("const").is_some_and(|c| c.as_i64() != Some(number)) {
            let message = format!("`{name}` must be {}", schema["const"]);
            self.found.push(Diagnostic::error(
                span,
                message,
                "this version of pgha cannot read it",
            ));
        }
    }

    fn wrong_type(&mut self, got: &str, span: Range<usize>, schema: &Value, name: &str) {
        let wanted = match names(schema) {
            names if !names.is_empty() => format!("one of {}", names.join(", ")),
            _ => wanted(schema),
        };
        let mut wrong = Diagnostic::error(
            span,
            format!("`{name}` must be {wanted}, not {got}"),
            format!("this is {got}"),
        );
        if got == "table" {
            wrong = wrong.help("if the dot is part of the name, put the name in quotes: \"auto_explain.log_nested_statements\" = true");
        }
        self.found.push(wrong);
    }

    /// Follows `$ref`, and the `anyOf [T, null]` of an optional value.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        if let Some(pointer) = schema["$ref"].as_str() {
            return self.resolve(
                self.root.pointer(pointer.trim_start_matches('#')).unwrap_or(&Value::Null),
            );
        }
        match schema["anyOf"].as_array() {
            Some(options) if options.iter().any(|o| o["type"] == "null") => options
                .iter()
                .find(|o| o["type"] != "null")
                .map_or(schema, |option| self.resolve(option)),
            _ => schema,
        }
    }
}

fn accepts(schema: &Value, kind: &str) -> bool {
    let is = |value: &Value| {
        value == kind || value.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
    };
    is(&schema["type"])
        || schema["anyOf"]
            .as_array()
            .is_some_and(|options| options.iter().any(|o| accepts(o, kind)))
}

/// The values a choice allows.
fn names(schema: &Value) -> Vec<&str> {
    let consts = schema["oneOf"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| option["const"].as_str());
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    consts.chain(plain).collect()
}

fn wanted(schema: &Value) -> String {
    match &schema["type"] {
        Value::String(kind) => article(kind),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .filter(|k| *k != "null")
            .map(article)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => schema["anyOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(wanted)
            .collect::<Vec<_>>()
            .join(" or "),
    }
}

fn article(kind: &str) -> String {
    match kind {
        "object" => "a table".to_owned(),
        "array" => "an array".to_owned(),
        "integer" => "an integer".to_owned(),
        other => format!("a {other}"),
    }
}

/// What of `known` is likely meant by `word`.
pub(crate) fn nearest<'n>(word: &str, known: &[&'n str]) -> Option<&'n str> {
    let score = |name: &&str| strsim::jaro_winkler(word, name);
    known
        .iter()
        .copied()
        .filter(|name| score(name) > 0.8)
        .max_by(|a, b| score(a).total_cmp(&score(b)))
}
