//! What can still be read of a file with mistakes of form, so that a rule broken elsewhere is
//! reported in the same run.

use serde_spanned::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;

/// Takes out of `table` every entry that one of `mistakes` is about.
pub(super) fn reduce(table: &mut DeTable<'_>, mistakes: &[Diagnostic]) {
    let is_good = |span: std::ops::Range<usize>| {
        !mistakes.iter().any(|mistake| span.contains(&mistake.span.start))
    };
    let entries = std::mem::take(table).into_iter();
    *table = entries
        .filter_map(|(key, mut value)| {
            let stays = reduced(&mut value, mistakes) || is_good(value.span());
            (is_good(key.span()) && stays).then_some((key, value))
        })
        .collect();
}

/// Whether `value` is made of tables, which are reduced instead of taken out.
fn reduced(value: &mut Spanned<DeValue<'_>>, mistakes: &[Diagnostic]) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => {
            reduce(table, mistakes);
            true
        }
        DeValue::Array(items) => {
            // Every item is to be reduced, so this must not stop at the first.
            let tables = items.iter_mut().filter_map(|item| reduced(item, mistakes).then_some(()));
            tables.count() > 0
        }
        _ => false,
    }
}

/// Name of the section that the byte at `offset` belongs to. What a rule says of a section with a
/// mistake of form may come from what had to be left out.
pub(super) fn section(text: &str, offset: usize) -> &str {
    let (mut section, mut in_header, mut begin) = ("", false, 0);
    for line in text.split_inclusive('\n') {
        let name = line.trim_start_matches('[');
        let name = name.split(|c: char| !c.is_alphanumeric() && !['_', '-'].contains(&c)).next();
        if line.starts_with('[') {
            (section, in_header) = (name.unwrap_or_default(), true);
        } else if !in_header && line.starts_with(|c: char| c.is_alphabetic()) {
            section = name.unwrap_or_default();
        }
        begin += line.len();
        if offset < begin {
            break;
        }
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_section_is_known() {
        let text = "schema = 1\ncluster.name = \"a\"\nnode = [\n  { x = 1 },\n]\n[etcd]\nheartbeat = 1\n[[node]]\nname = 1\n";
        let at = |what: &str| section(text, text.find(what).expect("part of the text"));
        assert_eq!(at("1\ncluster"), "schema");
        assert_eq!(at("\"a\""), "cluster");
        assert_eq!(at("{ x"), "node");
        assert_eq!(at("heartbeat = 1"), "etcd");
        assert_eq!(at("name = 1"), "node");
    }
}
