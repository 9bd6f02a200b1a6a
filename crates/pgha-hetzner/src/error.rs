//! What the API refuses, by its code.

use serde::Deserialize;
use serde_json::Value;

/// Characters of an answer that is no JSON, in an error.
const MOST: usize = 200;

/// A request that came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API said no.
    #[error("Hetzner Cloud refused to {call}: {message} ({code:?}, HTTP {status}{})", correlation.as_ref().map(|id| format!(", correlation id {id}")).unwrap_or_default())]
    Refused {
        /// The request, as `METHOD PATH`.
        call: String,
        /// The HTTP status.
        status: u16,
        /// Why, as programs read it.
        code: Code,
        /// Why, as people read it.
        message: String,
        /// More about it: the fields of a request, the limits of a project.
        details: Box<Value>,
        /// By which Hetzner's support finds the request. Absent: the answer had none.
        correlation: Option<String>,
    },
    /// No answer came, or only a part of one. What was asked for may have been done.
    #[error("no answer to {call}")]
    Silent {
        /// The request.
        call: String,
        /// What broke.
        #[source]
        source: reqwest::Error,
    },
    /// The answer to a request that was carried out makes no sense.
    #[error("pgha does not understand the answer to {call}")]
    Unreadable {
        /// The request.
        call: String,
        /// What is wrong with the answer.
        #[source]
        source: serde_json::Error,
    },
    /// An action failed.
    #[error("Hetzner Cloud could not {command} (action {id}): {message}")]
    ActionFailed {
        /// The action.
        id: u64,
        /// What it was to do.
        command: String,
        /// Why it failed. Hetzner may not say.
        message: String,
    },
    /// The API knows nothing of actions that it began.
    #[error("Hetzner Cloud lost sight of {0} actions that it had begun")]
    ActionsGone(usize),
    /// An action took longer than it may.
    #[error("Hetzner Cloud did not come to an end with {command} within {seconds} s")]
    Late {
        /// What was to be done.
        command: String,
        /// The bound.
        seconds: u64,
    },
}

/// Why the API refuses, as far as pgha goes by it.
/// <https://docs.hetzner.cloud/reference/cloud#errors>
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The token is not valid.
    Unauthorized,
    /// The token may only read.
    TokenReadonly,
    /// A limit of the project is reached; the details name it.
    ResourceLimitExceeded,
    /// There is no such thing.
    NotFound,
    /// The name or the key is used by another one.
    UniquenessError,
    /// Something else changes it at this moment.
    Conflict,
    /// An action runs on it.
    Locked,
    /// It is protected against this.
    Protected,
    /// Hetzner has none of these left in the location.
    ResourceUnavailable,
    /// No host is left for the placement group.
    PlacementError,
    /// The request makes no sense to it.
    InvalidInput,
    /// Too many requests.
    RateLimitExceeded,
    /// Something else uses it.
    ResourceInUse,
    /// A new subnet is not there yet.
    NoSubnetAvailable,
    /// The server is in the network already.
    ServerAlreadyAttached,
    /// The volume has a server already.
    VolumeAlreadyAttached,
    /// The service is away for a moment.
    Unavailable,
    /// A proxy had no answer.
    BadGateway,
    /// A service behind the API failed.
    ServiceError,
    /// It took too long.
    Timeout,
    /// Another one.
    #[serde(untagged)]
    Other(String),
}

impl Code {
    /// Whether nothing was done, and the same request succeeds once something else is done with the thing.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Conflict | Self::Locked | Self::RateLimitExceeded)
    }
}

#[derive(Deserialize)]
struct Body {
    error: Said,
}

#[derive(Deserialize)]
struct Said {
    code: Code,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Box<Value>,
}

impl ApiError {
    /// What an answer with this status says. `text` may come from a proxy, and be HTML.
    pub(crate) fn refused(
        call: &str,
        status: u16,
        text: &str,
        correlation: Option<String>,
    ) -> Self {
        let code = match status {
            429 => Code::RateLimitExceeded,
            502 => Code::BadGateway,
            503 => Code::Unavailable,
            504 => Code::Timeout,
            _ => Code::Other("unknown".to_owned()),
        };
        let message = text.chars().take(MOST).collect();
        let plain = || Said { code, message, details: Box::default() };
        let said = serde_json::from_str::<Body>(text).map_or_else(|_| plain(), |body| body.error);
        let Said { code, message, details } = said;
        Self::Refused { call: call.to_owned(), status, code, message, details, correlation }
    }

    /// Whether it may have been done all the same: there is no word of it, or only of a proxy or a service behind it.
    pub(crate) fn leaves_open(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Unreadable { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            _ => false,
        }
    }

    /// Why the API refused. Absent: it did not.
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the API refused with this code.
    pub fn is(&self, code: &Code) -> bool {
        self.code() == Some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_answered_is_an_error_that_says_something() {
        let text = r#"{"error":{"code":"locked","message":"busy","details":null}}"#;
        assert!(ApiError::refused("GET servers", 423, text, None).is(&Code::Locked));
        let new = r#"{"error":{"code":"brand_new","message":"?"}}"#;
        let error = ApiError::refused("GET servers", 422, new, Some("abc".to_owned()));
        assert!(error.is(&Code::Other("brand_new".to_owned())));
        assert!(error.to_string().contains("correlation id abc"), "{error}");
        let html = ApiError::refused("GET servers", 502, "<html>Bad Gateway</html>", None);
        assert!(html.is(&Code::BadGateway) && html.to_string().contains("Bad Gateway"), "{html}");
    }
}
