//! The template engine, set up so that a value which does not fit a file's format is refused
//! instead of written.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};
use serde::Serialize;

/// A template that does not fit the cluster: a defect of pgha, or a value that no rule refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot render `{path}`: {reason}")]
pub struct RenderError {
    /// The file that was rendered.
    pub path: String,
    /// What the template engine says.
    pub reason: String,
}

/// Fills in one template.
pub(crate) fn fill(
    path: &str,
    source: &str,
    context: &impl Serialize,
) -> Result<String, RenderError> {
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
    engine.add_filter("nix", nix_string);
    engine.add_filter("nft_set", nft_set);
    engine.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    // Directives that several units share.
    engine.add_template("sandbox.conf", include_str!("../templates/sandbox.conf"))?;
    Ok(engine)
}

/// Writes numbers and plain words. Anything that could mean something in an INI, environment,
/// nftables or HAProxy file is refused, so no value can ever become a directive.
fn write_word(out: &mut Output, _: &mut State, value: &Value) -> Result<(), Error> {
    out.write_str(&word(value)?).map_err(|_| Error::new(ErrorKind::WriteFailure, "output"))
}

fn word(value: &Value) -> Result<String, Error> {
    let text = value.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:/-+".contains(c);
    match value.kind() {
        ValueKind::Number => {}
        ValueKind::String if value.is_safe() => {}
        ValueKind::String if !text.is_empty() && text.chars().all(plain) => {}
        kind => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("{kind} `{text}` cannot be written as a plain word"),
            ));
        }
    }
    Ok(text)
}

/// A plain word, or an anonymous set of them, as the packet filter writes it (nft(8)).
fn nft_set(values: Vec<Value>) -> Result<Value, Error> {
    let words = values.iter().map(word).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::from_safe_string(match words.as_slice() {
        [word] => word.clone(),
        words => format!("{{ {} }}", words.join(", ")),
    }))
}

/// A string literal of the Nix language with exactly this value. Nix strings cannot hold a NUL.
fn nix_string(text: &str) -> Result<Value, Error> {
    if text.contains('\0') {
        return Err(Error::new(ErrorKind::InvalidOperation, "a Nix string cannot hold a NUL"));
    }
    // A `$` alone is harmless; before `{` it would begin an interpolation.
    let escapes = [
        ("\\", "\\\\"),
        ("\"", "\\\""),
        ("\n", "\\n"),
        ("\r", "\\r"),
        ("\t", "\\t"),
        ("${", "\\${"),
    ];
    let escaped = escapes.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    Ok(Value::from_safe_string(format!("\"{escaped}\"")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn any_string_survives_into_nix(text in prop_oneof!["[^\0]{0,40}", "[${}\"\\\\\n\r\t a']{0,12}"]) {
            let written = fill("t", "{{ x | nix }}", &json!({ "x": text })).unwrap();
            let root = rnix::Root::parse(&written).ok().unwrap();
            let Some(rnix::ast::Expr::Str(literal)) = root.expr() else { panic!("not one string: {written}") };
            let parts = literal.normalized_parts();
            let value = match parts.as_slice() {
                [] => String::new(),
                [rnix::ast::InterpolPart::Literal(value)] => value.clone(),
                more => panic!("an interpolation in {written}: {more:?}"),
            };
            prop_assert_eq!(value, text);
        }
    }

    #[test]
    fn what_nix_cannot_hold_is_refused() {
        assert!(fill("t", "{{ x | nix }}", &json!({ "x": "a\0b" })).is_err());
    }

    #[test]
    fn a_value_never_becomes_a_directive() {
        for value in ["a b", "a\nb", "", "a;b", "a#b", "\"", "${X}", "a{b"] {
            assert!(fill("t", "{{ x }}", &json!({ "x": value })).is_err(), "{value:?} was written");
        }
        assert!(fill("t", "{{ y }}", &json!({})).is_err());
        assert_eq!(fill("t", "{{ x }}", &json!({ "x": "10.0.0.0/24" })).unwrap(), "10.0.0.0/24");
    }
}
