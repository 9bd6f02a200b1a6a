//! What the API answers.

use serde_json::{Value, json};

/// An answer to a request that was carried out.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Absent: the answer has no body.
    pub(crate) body: Option<Value>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Self { status: 200, body: Some(body) }
    }

    pub(crate) fn created(body: Value) -> Self {
        Self { status: 201, body: Some(body) }
    }

    pub(crate) fn no_content() -> Self {
        Self { status: 204, body: None }
    }
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The code that clients go by.
    pub code: String,
    /// The code in words.
    pub message: String,
    /// More about it; `null` for most codes.
    pub details: Box<Value>,
}

pub(crate) type Outcome = Result<Answer, Refusal>;

impl Refusal {
    /// A refusal without details.
    pub fn new(status: u16, code: &str, message: &str) -> Self {
        let (code, message) = (code.to_owned(), message.to_owned());
        Self { status, code, message, details: Box::default() }
    }

    pub(crate) fn invalid(field: &str, why: &str) -> Self {
        let details = json!({ "fields": [{ "name": field, "messages": [why] }] });
        let message = format!("invalid input in field '{field}': {why}");
        Self { details: Box::new(details), ..Self::new(422, "invalid_input", &message) }
    }

    pub(crate) fn not_found(kind: &str) -> Self {
        Self::new(404, "not_found", &format!("{kind} not found"))
    }

    pub(crate) fn taken(field: &str) -> Self {
        let details = json!({ "fields": [{ "name": field }] });
        let message = format!("{field} is already used");
        Self { details: Box::new(details), ..Self::new(409, "uniqueness_error", &message) }
    }

    pub(crate) fn locked() -> Self {
        Self::new(423, "locked", "the resource is locked: an action runs on it")
    }

    pub(crate) fn protected() -> Self {
        Self::new(423, "protected", "the resource is protected")
    }

    pub(crate) fn body(&self) -> Value {
        json!({ "error": { "code": self.code, "message": self.message, "details": self.details } })
    }
}
