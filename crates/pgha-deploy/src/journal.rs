//! The journal: one JSON line for each step begun and ended, beside the secrets. It is for people;
//! nothing reads it back.

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

    /// Notes that `step` of `plan` has `what` (`begun`, `done`, or why it failed). A journal that
    /// cannot be written must not stop a roll half way, so that is only a warning.
    pub fn note(&self, plan: &Plan, step: &Step, what: &str) {
        let line = serde_json::json!({
            "time": jiff::Timestamp::now().to_string(), "plan": plan.fingerprint.short(), "process": std::process::id(), "step": step, "what": what,
        });
        let open =
            std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        // In one write: whoever reads meanwhile, or kills this process, must not be left with half
        // a line.
        if let Err(error) = open.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        {
            tracing::warn!("cannot write the journal {}: {error}", self.path.display());
        }
    }
}
