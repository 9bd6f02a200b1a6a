//! Numbers as PostgreSQL reads them: decimal, octal, hexadecimal, with an exponent and a unit.

use serde_json::Value;

/// A number and its unit.
pub(super) fn number(value: &Value) -> Option<(f64, Option<&str>)> {
    if let Some(number) = value.as_f64() {
        return Some((number, None));
    }
    let text = value.as_str()?.trim();
    let (number, rest) = prefixed(text).or_else(|| decimal(text))?;
    Some((number, Some(rest.trim()).filter(|unit| !unit.is_empty())))
}

/// Hexadecimal and octal, as strtol(3) reads them, and the rest.
fn prefixed(text: &str) -> Option<(f64, &str)> {
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => {
            (text.strip_prefix('0').filter(|s| s.starts_with(|c: char| c.is_ascii_digit()))?, 8)
        }
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    // Of `08`, strtol(3) reads only the 0.
    let number = if end == 0 { 0 } else { i64::from_str_radix(&digits[..end], radix).ok()? };
    Some((number as f64, &digits[end..]))
}

/// Digits, a point, an exponent, and the rest.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let plain = |c: char| c.is_ascii_digit() || ['.', '-', '+'].contains(&c);
    let end = text.find(|c: char| !plain(c)).unwrap_or(text.len());
    let exponent = text[end..].strip_prefix(['e', 'E']).map(|rest| {
        let digits = rest.find(|c: char| !plain(c)).unwrap_or(rest.len());
        end + 1 + digits
    });
    let with_exponent = exponent.and_then(|end| Some((text[..end].parse().ok()?, &text[end..])));
    with_exponent.or_else(|| Some((text[..end].parse().ok()?, &text[end..])))
}
