//! Requests, and when they are sent again.

use std::time::Duration;

use hcloud::apis::configuration::Configuration;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ApiError, Code};

/// Hetzner's own.
const BASE: &str = "https://api.hetzner.cloud/v1";

/// Tries of one request.
const TRIES: u32 = 6;

/// Longest pause between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// A request that takes longer has no answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fewer requests left in the hour than this, and every one waits for a moment.
const SPARE: u32 = 300;

/// What opens a project. Never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token as Hetzner's console gives it.
    pub fn new(token: &str) -> Self {
        Self(token.trim().to_owned())
    }
}

/// The API of one project.
pub struct Api {
    pub(crate) configuration: Configuration,
    /// Pause before a request is sent again, and between two looks at actions.
    pub(crate) pause: Duration,
    base: String,
}

/// A request that can be sent again.
pub(crate) struct Call<'c> {
    pub(crate) method: Method,
    /// Behind the base, without a leading slash.
    pub(crate) path: &'c str,
    pub(crate) query: &'c [(&'c str, &'c str)],
    pub(crate) body: Option<Value>,
}

impl Call<'_> {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it may be sent again where it is not known if it was carried out.
    fn is_repeatable(&self) -> bool {
        self.method != Method::POST
    }
}

impl Api {
    /// The real one.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(token: &Token) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().https_only(true);
        Ok(Self::with(client.timeout(PATIENCE).build()?, token, BASE, Duration::from_secs(1)))
    }

    /// Another one that speaks as Hetzner's, on this machine. `pause`: before a request is sent again.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn on_loopback(token: &Token, base: &str, pause: Duration) -> Result<Self, reqwest::Error> {
        // A proxy variable of the environment must not send loopback calls away.
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Ok(Self::with(client.build()?, token, base, pause))
    }

    fn with(client: reqwest::Client, token: &Token, base: &str, pause: Duration) -> Self {
        let configuration = Configuration {
            base_path_mapping: [(BASE.to_owned(), base.to_owned())].into(),
            user_agent: Some(concat!("pgha/", env!("CARGO_PKG_VERSION")).to_owned()),
            client,
            bearer_access_token: Some(token.0.clone()),
            ..Configuration::default()
        };
        Self { configuration, pause, base: base.to_owned() }
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        self.send(&Call { method: Method::GET, path, query, body: None }).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        let call = |body| Call { method: Method::POST, path, query: &[], body: Some(body) };
        let body = serde_json::to_value(body);
        let body =
            body.map_err(|source| ApiError::Unreadable { call: format!("POST {path}"), source })?;
        self.send(&call(body)).await
    }

    /// Sends a request, again where that may help, and reads the answer.
    pub(crate) async fn send<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        let text = self.again(call.is_repeatable(), || self.once(call)).await?;
        // A deletion may be answered with nothing.
        let text = if text.is_empty() { "null" } else { text.as_str() };
        serde_json::from_str(text)
            .map_err(|source| ApiError::Unreadable { call: call.name(), source })
    }

    async fn once(&self, call: &Call<'_>) -> Result<String, ApiError> {
        let silent = |source| ApiError::Silent { call: call.name(), source };
        let url = format!("{}/{}", self.base, call.path);
        let request = self.configuration.client.request(call.method.clone(), url).query(call.query);
        let request = request
            .bearer_auth(self.configuration.bearer_access_token.as_deref().unwrap_or_default());
        let request = match &call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let response: Response = request.send().await.map_err(silent)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.map_err(silent)?;
        self.spare(&headers).await;
        match status.is_success() {
            true => Ok(text),
            false => {
                Err(ApiError::refused(&call.name(), status.as_u16(), &text, correlation(&headers)))
            }
        }
    }

    /// Does something until it succeeds, or fails with what does not pass. `repeatable`: it may be done
    /// twice.
    pub(crate) async fn again<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        repeatable: bool,
        what: impl Fn() -> F,
    ) -> Result<T, ApiError> {
        let mut pause = self.pause;
        for _ in 1..TRIES {
            match what().await {
                Err(error) if passes(&error, repeatable) => {
                    tracing::debug!("{error}; again in {} s", pause.as_secs_f32());
                    // Many that were refused at once must not come back at once.
                    let jitter = rand::random_range(0.5..1.0);
                    tokio::time::sleep(pause.mul_f32(jitter)).await;
                    pause = (pause * 2).min(LONGEST);
                }
                outcome => return outcome,
            }
        }
        what().await
    }

    /// Waits for a moment where the project has few requests left: they come back one each second.
    async fn spare(&self, headers: &HeaderMap) {
        let left =
            headers.get("RateLimit-Remaining").and_then(|left| left.to_str().ok()?.parse().ok());
        if left.is_some_and(|left: u32| left < SPARE) {
            tokio::time::sleep(self.pause).await;
        }
    }
}

fn passes(error: &ApiError, repeatable: bool) -> bool {
    match error {
        // A proxy that gave up does not know what became of the request.
        ApiError::Refused { code: Code::BadGateway | Code::Timeout, .. }
        | ApiError::Silent { .. } => repeatable,
        ApiError::Refused { code, .. } => code.passes(),
        _ => false,
    }
}

fn correlation(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("X-Correlation-Id")?.to_str().ok()?.to_owned())
}
