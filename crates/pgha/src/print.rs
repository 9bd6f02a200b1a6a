//! The only place that writes to stdout and stderr.

use std::io::{IsTerminal, Write};

/// Data, to stdout. A reader that has gone away ends the program quietly, as it does for other
/// tools; a full disk does not.
pub(crate) fn data(text: &str) {
    let mut stdout = std::io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            note(&format!("{} cannot write the output: {error}", red("error:")));
            std::process::exit(2);
        }
    }
}

/// A line of data, to stdout.
pub(crate) fn line(text: &str) {
    data(&format!("{text}\n"));
}

/// Whether stdout is a terminal, which can be cleared.
pub(crate) fn to_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A line of prose, to stderr. A terminal that has gone away must not end a run half way.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Asks a question on stderr and reads the answer from stdin. Without a terminal the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let _ = write!(std::io::stderr(), "{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "yes")
}

pub(crate) fn red(text: &str) -> String {
    paint(text, "31")
}

pub(crate) fn green(text: &str) -> String {
    paint(text, "32")
}

pub(crate) fn yellow(text: &str) -> String {
    paint(text, "33")
}

pub(crate) fn dim(text: &str) -> String {
    paint(text, "2")
}

fn paint(text: &str, code: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || !std::io::stderr().is_terminal();
    if plain { text.to_owned() } else { format!("\x1b[1;{code}m{text}\x1b[0m") }
}
