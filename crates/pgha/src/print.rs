//! The only place that writes to stdout and stderr. Some of the text comes from nodes, so all of it
//! passes `clean`. The only escape sequences that reach a terminal are made here.

use std::fmt::{Display, Formatter};
use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::clean::{self, clean, readable};

/// Text for people, to stdout.
pub(crate) fn data(text: &str) {
    write(&clean(text));
}

/// A line of text for people, to stdout.
pub(crate) fn line(text: &str) {
    write(&format!("{}\n", readable(text)));
}

/// Data for programs, to stdout.
pub(crate) fn json(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    write(&format!("{}\n", clean::json(&text)));
}

/// A closed pipe ends the program quietly, as it does for other tools; a full disk does not.
fn write(text: &str) {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            marked(&red("error:"), &format!("cannot write the output: {error}"));
            std::process::exit(2);
        }
    }
}

/// Clears stdout as `watch` does, if it is a terminal.
pub(crate) fn clear() {
    if std::io::stdout().is_terminal() {
        write("\x1b[H\x1b[2J");
    }
}

/// A line of prose, to stderr. A closed terminal must not end a run half way.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", readable(text));
}

/// A line of prose after a word with a colour.
pub(crate) fn marked(mark: &Painted, text: &str) {
    let _ = writeln!(std::io::stderr(), "{mark} {}", readable(text));
}

/// A picture with colours of its own, to stderr. Its caller has cleaned what it is made of.
pub(crate) fn drawn(picture: &str) {
    let _ = writeln!(std::io::stderr(), "{picture}");
}

/// Asks a question on stderr and reads the answer from stdin. Without a terminal the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let _ = write!(std::io::stderr(), "{} [y/N] ", readable(question));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "yes")
}

/// A word with a colour, if stderr shows colours.
pub(crate) struct Painted {
    text: String,
    code: &'static str,
}

impl Display for Painted {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let text = clean(&self.text);
        if has_colours() {
            write!(f, "\x1b[1;{}m{text}\x1b[0m", self.code)
        } else {
            f.write_str(&text)
        }
    }
}

pub(crate) fn red(text: &str) -> Painted {
    paint(text, "31")
}

pub(crate) fn green(text: &str) -> Painted {
    paint(text, "32")
}

pub(crate) fn yellow(text: &str) -> Painted {
    paint(text, "33")
}

pub(crate) fn dim(text: &str) -> Painted {
    paint(text, "2")
}

fn paint(text: &str, code: &'static str) -> Painted {
    Painted { text: text.to_owned(), code }
}

/// Whether stderr is a terminal whose user wants colours.
pub(crate) fn has_colours() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !is_unwanted && std::io::stderr().is_terminal()
}
