//! What every writer did, and what it was told.

use std::collections::BTreeSet;
use std::io::Write;

use serde::{Deserialize, Serialize};

/// Where a writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// A client on the side that survives. It knows every HAProxy except the one on the node that
    /// will be broken.
    Outside,
    /// A client beside the leader that is about to be broken, connected straight to its PostgreSQL.
    Inside,
}

/// What a writer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The row was committed.
    Ok,
    /// The row was certainly not committed.
    Fail,
    /// The connection broke, or time ran out, while the commit was under way: it may have happened.
    Unknown,
}

/// One attempt to insert one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The row's id, used once.
    pub id: i64,
    /// Where the writer is.
    pub side: Side,
    /// Seconds from the start of the run to the moment the statement was sent.
    pub invoked: f64,
    /// Seconds from the start of the run to the answer.
    pub completed: f64,
    /// The answer.
    pub outcome: Outcome,
    /// Timeline of the server that acknowledged.
    pub timeline: Option<u32>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Everything the writers of one run did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// In the order of their completion.
    pub operations: Vec<Operation>,
    /// Seconds from the start of the run to the fault.
    pub fault_at: f64,
    /// Seconds from the start of the run to the end of the fault.
    pub healed_at: f64,
}

impl History {
    /// Ids of the rows that were acknowledged.
    pub fn acknowledged(&self) -> BTreeSet<i64> {
        self.operations
            .iter()
            .filter(|operation| operation.outcome == Outcome::Ok)
            .map(|operation| operation.id)
            .collect()
    }

    /// Writes it as JSON lines: the two marks, then every operation.
    ///
    /// # Errors
    /// When the writer fails.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let marks = serde_json::json!({ "fault_at": self.fault_at, "healed_at": self.healed_at });
        writeln!(out, "{marks}")?;
        for operation in &self.operations {
            serde_json::to_writer(&mut *out, operation)?;
            writeln!(out)?;
        }
        Ok(())
    }
}
