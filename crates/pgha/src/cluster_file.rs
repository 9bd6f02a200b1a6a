//! Reads and checks the cluster file, and underlines what is wrong with it.

use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource};
use pgha_core::{Cluster, Diagnostic, Severity};

use crate::clean::clean;
use crate::failure::Failure;
use crate::print;

/// The library that underlines mistakes counts columns in 16 bits.
const LONGEST_LINE: usize = 10_000;

/// Reads and checks a cluster file, and prints every remark about it.
pub(crate) fn read(file: &Path) -> Result<Cluster, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let failure =
            Failure::no(format!("cannot read the cluster file {}: {error}", file.display()));
        failure.hint("name it with -f FILE, or write one with `pgha init > cluster.toml`")
    })?;
    // Some editors put a byte order mark at the beginning of a file.
    let text = text.trim_start_matches('\u{feff}').to_owned();
    if let Some(number) = text.lines().position(|line| line.len() > LONGEST_LINE) {
        let failure = Failure::no(format!(
            "{}, line {}: longer than {LONGEST_LINE} bytes",
            file.display(),
            number + 1
        ));
        return Err(failure.hint("this is hardly a cluster file; break the line up if it is"));
    }
    match Cluster::parse(&text) {
        Ok((cluster, warnings)) => {
            show(file, &text, &warnings);
            Ok(cluster)
        }
        Err(remarks) => {
            show(file, &text, &remarks);
            let count = remarks.iter().filter(|remark| remark.severity == Severity::Error).count();
            Err(Failure::no(format!(
                "{} has {count} mistake{}",
                file.display(),
                if count == 1 { "" } else { "s" }
            )))
        }
    }
}

/// Prints remarks with the text they are about underlined.
fn show(file: &Path, text: &str, remarks: &[Diagnostic]) {
    // Spans stay valid: each character is replaced by as many bytes.
    let text = clean(text);
    let name = file.display().to_string();
    let name = clean(&name);
    let theme = match print::has_colours() {
        true => GraphicalTheme::unicode(),
        false => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(120);
    for remark in remarks {
        let severity = if remark.severity == Severity::Error {
            miette::Severity::Error
        } else {
            miette::Severity::Warning
        };
        let label = LabeledSpan::new_with_span(
            Some(clean(&remark.label).into_owned()),
            remark.span.clone(),
        );
        // A rule about something the file leaves out has no place in it, so the file is named
        // instead.
        let place = if remark.span.is_empty() { format!("{name}: ") } else { String::new() };
        let mut diagnostic = MietteDiagnostic::new(format!("{place}{}", clean(&remark.message)))
            .with_severity(severity);
        if !remark.span.is_empty() {
            diagnostic = diagnostic.with_label(label);
        }
        if let Some(help) = &remark.help {
            diagnostic = diagnostic.with_help(clean(help));
        }
        let report = miette::Report::new(diagnostic)
            .with_source_code(NamedSource::new(&name, text.clone().into_owned()));
        let mut rendered = String::new();
        let _ = handler.render_report(&mut rendered, report.as_ref());
        print::drawn(rendered.trim_end_matches('\n'));
    }
}
