//! The journal, beside the secrets: one JSON line when a step begins and one when it ends. It is
//! for people; pgha never reads it.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use pgha_core::plan::{Plan, Step};

/// Appends to `journal.jsonl`.
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// A journal at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Notes `what` became of `step` of `plan`: `begun`, `done`, or why it failed. A failed write
    /// is only a warning, because it must not stop a roll half way.
    pub fn note(&self, plan: &Plan, step: &Step, what: &str) {
        let line = serde_json::json!({
            "time": jiff::Timestamp::now().to_string(), "plan": plan.fingerprint.short(), "process": std::process::id(), "step": step, "what": what,
        });
        let open =
            std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        // One write, so that a reader never sees half a line, and a kill never leaves one.
        if let Err(error) = open.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        {
            tracing::warn!("cannot write the journal {}: {error}", self.path.display());
        }
    }
}
