//! What is wrong with a cluster file, and where.

use std::ops::Range;

/// Whether a [`Diagnostic`] stops the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The cluster file cannot be used.
    Error,
    /// The cluster file can be used, but promises less than it could.
    Warning,
}

/// One remark about a cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the run.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The bytes of the file it is about.
    pub span: Range<usize>,
    /// What to say below the underlined text.
    pub label: String,
    /// How to cure it, or why the rule exists.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error about the text at `span`.
    pub fn error(span: Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            label: label.into(),
            help: None,
        }
    }

    /// A warning about the text at `span`.
    pub fn warning(
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message, label) }
    }

    /// Adds the cure or the reason.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
