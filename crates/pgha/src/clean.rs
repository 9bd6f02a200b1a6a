//! Keeps text from nodes, etcd and files from controlling a terminal. Everything that is printed
//! passes through here once, in `print`.

use std::borrow::Cow;

/// Characters of a line that are shown: a longer line is not readable.
const LINE: usize = 4_000;

/// Lines of a text that are shown.
const LINES: usize = 2_000;

/// The text without characters that move the cursor, change colours or titles, send keys, or
/// reverse the reading order: control characters except newline and tab, and those of bidirectional
/// text. Each becomes as many question marks as it has bytes, so that spans stay valid.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Part of a CRLF line end.
            '\r' => cleaned.push(' '),
            c if is_harmful(c) => cleaned.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => cleaned.push(c),
        }
    }
    Cow::Owned(cleaned)
}

/// As [`clean`], and shortened to a readable length.
pub(crate) fn readable(text: &str) -> String {
    let cut = |line: &str| match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    };
    let text = clean(text);
    let mut lines = text.split('\n');
    let mut shown = lines.by_ref().take(LINES).map(cut).collect::<Vec<_>>();
    let left = lines.count();
    if left > 0 {
        shown.push(format!("... and {left} more lines"));
    }
    shown.join("\n")
}

/// JSON with the same characters written as escapes: the same data, harmless to look at. They only
/// occur in strings, where most are escaped already.
pub(crate) fn json(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_harmful(c) => cleaned.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => cleaned.push(c),
        }
    }
    cleaned
}

fn is_harmful(c: char) -> bool {
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_bidi || c.is_control() && !matches!(c, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\u{1b}]0;x\u{7}\u{7f}\u{9b}31m\u{202e}z\u{2066}\u{61c}";

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        assert_eq!(clean(EVIL), "a?]0;x????31m???z?????");
        assert_eq!(clean(EVIL).len(), EVIL.len());
        assert_eq!(clean("one\ttwo\r\n\u{e9} \u{5d0}"), "one\ttwo \n\u{e9} \u{5d0}");
    }

    #[test]
    fn json_stays_the_same_data() {
        let value = serde_json::json!({ "said": EVIL, "more": ["\r\n\t", "\u{e9}"] });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.chars().any(is_harmful));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_flood_is_cut() {
        let flood = readable(&"x".repeat(1 << 20)) + &readable(&"x\n".repeat(1 << 20));
        assert!(flood.len() < 10_000, "{}", flood.len());
        assert!(flood.ends_with("more lines"));
    }
}
