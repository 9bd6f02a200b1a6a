//! The template engine, set up so that a value which does not fit a file's format is refused instead of written.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

use super::RenderError;

/// Fills in one template.
pub(super) fn fill(path: &str, source: &str, context: &impl Serialize) -> Result<String, RenderError> {
    let fail = |error: Error| RenderError { path: path.to_owned(), reason: format!("{error}") };
    let engine = engine().map_err(fail)?;
    engine.render_named_str(path, source, Value::from(Serde(context))).map_err(fail)
}

fn engine() -> Result<Environment<'static>, Error> {
    let mut engine = Environment::new();
    // In debug mode errors print the values of variables.
    engine.set_debug(false);
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    engine.set_formatter(write_word);
    engine.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    Ok(engine)
}

/// Writes numbers and plain words. Anything that could mean something in an INI, environment, nftables or HAProxy file
/// is refused, so no value can ever become a directive.
fn write_word(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    let text = value.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/-+".contains(c);
    match value.kind() {
        ValueKind::Number => {}
        ValueKind::String if value.is_safe() => {}
        ValueKind::String if !text.is_empty() && text.chars().all(plain) => {}
        kind => return Err(Error::new(ErrorKind::InvalidOperation, format!("{kind} `{text}` cannot be written as a plain word"))),
    }
    out.write_str(&text).map_err(|_| Error::new(ErrorKind::WriteFailure, "output"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_never_becomes_a_directive() {
        for value in ["a b", "a\nb", "", "a;b", "a#b", "\"", "${X}", "a{b"] {
            assert!(fill("t", "{{ x }}", &json!({ "x": value })).is_err(), "{value:?} was written");
        }
        assert!(fill("t", "{{ y }}", &json!({})).is_err());
        assert_eq!(fill("t", "{{ x }}", &json!({ "x": "10.0.0.0/24" })).unwrap(), "10.0.0.0/24");
    }
}
