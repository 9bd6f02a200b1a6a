//! Labels and the selectors over them.
//! <https://docs.hetzner.cloud/reference/cloud#labels>, <https://docs.hetzner.cloud/reference/cloud#label-selector>

use std::collections::BTreeMap;

use crate::answer::Refusal;

pub(crate) type Labels = BTreeMap<String, String>;

/// Refuses labels that the API would refuse.
pub(crate) fn check(labels: &Labels) -> Result<(), Refusal> {
    for (key, value) in labels {
        let (prefix, name) =
            key.rsplit_once('/').map_or((None, key.as_str()), |(p, n)| (Some(p), n));
        let prefix_is_good =
            prefix.is_none_or(|prefix| is_domain(prefix) && prefix != "hetzner.cloud");
        let value_is_good = value.is_empty() || is_word(value);
        if !prefix_is_good || !is_word(name) || !value_is_good {
            return Err(Refusal::invalid("labels", &format!("label {key}={value} is not valid")));
        }
    }
    Ok(())
}

/// At most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let ends = [text.bytes().next(), text.bytes().last()];
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= 63
        && ends.iter().all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()))
        && text.bytes().all(inner)
}

fn is_domain(text: &str) -> bool {
    let is_part = |part: &str| is_word(part) && !part.contains('_');
    text.len() <= 253 && text.split('.').all(is_part)
}

/// Whether labels satisfy a selector.
///
/// # Errors
/// When it is none.
pub(crate) fn select(selector: &str, labels: &Labels) -> Result<bool, Refusal> {
    let mut all = true;
    for term in terms(selector) {
        all &= satisfies(term.trim(), labels)?;
    }
    Ok(all)
}

/// Splits at the commas outside of parentheses.
fn terms(selector: &str) -> Vec<&str> {
    let (mut terms, mut begin, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in selector.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                terms.push(&selector[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&selector[begin..]);
    terms
}

fn satisfies(term: &str, labels: &Labels) -> Result<bool, Refusal> {
    let value = |key: &str| labels.get(key.trim()).map(String::as_str);
    let is = |key: &str, wanted: &str| value(key) == Some(wanted.trim());
    if let Some((key, wanted)) = term.split_once("!=") {
        return Ok(!is(key, wanted));
    }
    if let Some((key, wanted)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(is(key, wanted));
    }
    if let Some((key, set)) = term.split_once(" notin ") {
        return Ok(!members(set)?.any(|wanted| is(key, wanted)));
    }
    if let Some((key, set)) = term.split_once(" in ") {
        return Ok(members(set)?.any(|wanted| is(key, wanted)));
    }
    let (key, wanted) = term.strip_prefix('!').map_or((term, true), |key| (key, false));
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    if !is_word(name) {
        return Err(Refusal::invalid("label_selector", &format!("`{term}` is not valid")));
    }
    Ok(value(key).is_some() == wanted)
}

fn members(set: &str) -> Result<impl Iterator<Item = &str>, Refusal> {
    let inner = set.trim().strip_prefix('(').and_then(|set| set.strip_suffix(')'));
    inner
        .map(|inner| inner.split(','))
        .ok_or_else(|| Refusal::invalid("label_selector", &format!("`{set}` is no set")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        [("pgha/cluster", "a"), ("env", "prod")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn selectors_select() {
        for (selector, wanted) in [
            ("pgha/cluster=a", true),
            ("pgha/cluster==b", false),
            ("pgha/cluster!=b", true),
            ("none!=b", true),
            ("env", true),
            ("!env", false),
            ("!none", true),
            ("env in (dev, prod),pgha/cluster=a", true),
            ("env notin (dev,prod)", false),
            ("env in (dev)", false),
        ] {
            assert_eq!(select(selector, &labels()), Ok(wanted), "{selector}");
        }
        assert!(select("a b", &labels()).is_err());
        assert!(select("env in dev", &labels()).is_err());
    }

    #[test]
    fn what_the_api_refuses_is_refused() {
        let check =
            |key: &str, value: &str| super::check(&[(key.to_owned(), value.to_owned())].into());
        let (fits, long) = ("a".repeat(63), "a".repeat(64));
        for (key, value) in
            [("pgha/image", fits.as_str()), ("a", ""), ("a_b.c-d", "20261128T180000Z")]
        {
            assert!(check(key, value).is_ok(), "{key}={value}");
        }
        for (key, value) in [
            ("pgha/image", long.as_str()),
            ("since", "2026-11-28T18:00:00Z"),
            ("-a", "b"),
            ("a", "b-"),
            ("hetzner.cloud/a", "b"),
            ("a_b/c", "d"),
            ("", "a"),
        ] {
            assert!(check(key, value).is_err(), "{key}={value}");
        }
    }
}
