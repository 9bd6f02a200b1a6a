//! nix's log in its `internal-json` format (nix, `src/libutil/logging.hh`): one `@nix {...}` a
//! line.

use std::collections::VecDeque;

use serde_json::Value;

/// Activity: something is built.
const BUILD: u64 = 105;
/// Activity: a path comes from a cache.
const COPY: u64 = 100;
/// Result: a line of a builder's output.
const LINE: u64 = 101;

/// Lines of a failed build that are shown.
const TAIL: usize = 12;

/// The parts of a log that an error message needs.
#[derive(Debug, Default)]
pub(super) struct Log {
    errors: Vec<String>,
    lines: VecDeque<String>,
}

impl Log {
    /// Reads one line and returns what people should see of it at once.
    pub(super) fn read(&mut self, line: &str) -> Option<String> {
        let Some(event) =
            line.strip_prefix("@nix ").and_then(|json| serde_json::from_str::<Value>(json).ok())
        else {
            self.push_line(line);
            return None;
        };
        match (event["action"].as_str()?, event["type"].as_u64()) {
            ("start", Some(BUILD | COPY)) => {
                event["text"].as_str().filter(|text| !text.is_empty()).map(shortened)
            }
            ("result", Some(LINE)) => {
                self.push_line(event["fields"][0].as_str()?);
                None
            }
            // Level 0 is an error. Everything else is for debugging nix.
            ("msg", _) if event["level"] == 0 => {
                self.errors.push(without_colours(event["msg"].as_str()?));
                None
            }
            _ => None,
        }
    }

    fn push_line(&mut self, line: &str) {
        if self.lines.len() == TAIL {
            self.lines.pop_front();
        }
        self.lines.push_back(without_colours(line));
    }

    /// Nix's errors, then the last lines of the build's output.
    pub(super) fn complaint(&self) -> String {
        self.errors
            .iter()
            .chain(&self.lines)
            .map(|line| line.trim_end())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// `building '/nix/store/HASH-name.drv'` without the hash.
fn shortened(text: &str) -> String {
    let short = |word: &str| {
        let name = word.rsplit_once('/').map_or(word, |(_, name)| {
            if name.get(32..33) == Some("-") { &name[33..] } else { name }
        });
        name.trim_matches('\'').to_owned()
    };
    text.split_whitespace().map(short).collect::<Vec<_>>().join(" ")
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_a_complaint_needs() {
        let mut log = Log::default();
        let building = r#"@nix {"action":"start","fields":["/nix/store/x.drv","",1,1],"id":2,"level":3,"parent":0,"text":"building '/nix/store/wf7sdm0npfgrysnc9lh3cv9hsbnmzs0a-pgha-image.drv'","type":105}"#;
        assert_eq!(log.read(building).as_deref(), Some("building pgha-image.drv"));
        assert_eq!(
            log.read(r#"@nix {"action":"result","fields":["mkfs: no space"],"id":2,"type":101}"#),
            None
        );
        assert_eq!(log.read(r#"@nix {"action":"msg","level":5,"msg":"chatter"}"#), None);
        log.read("@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"\\u001b[31;1merror:\\u001b[0m builder failed\"}");
        assert_eq!(log.complaint(), "error: builder failed\nmkfs: no space");
    }
}
