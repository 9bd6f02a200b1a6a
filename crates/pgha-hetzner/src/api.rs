//! Requests, and when they are sent again.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{ApiError, Code};

/// Who asks.
const AGENT: &str = concat!("pgha/", env!("CARGO_PKG_VERSION"));

/// Hetzner's own.
const BASE: &str = "https://api.hetzner.cloud/v1";

/// Tries of a request that may have been carried out, and may be carried out twice.
const TRIES: u32 = 6;

/// How long something that is locked is waited for: a snapshot may take an hour.
const LOCKED: Duration = Duration::from_secs(3600);

/// The longest pause between two tries, in first ones.
const LONGEST: u32 = 15;

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
    client: reqwest::Client,
    token: Token,
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
        let client = reqwest::Client::builder().https_only(true).user_agent(AGENT);
        Ok(Self::with(client.timeout(PATIENCE).build()?, token, BASE, Duration::from_secs(1)))
    }

    /// Another one that speaks as Hetzner's, on this machine. `pause`: before a request is sent again.
    ///
    /// # Errors
    /// When the client cannot be set up.
    pub fn on_loopback(token: &Token, base: &str, pause: Duration) -> Result<Self, reqwest::Error> {
        // A proxy variable of the environment must not send loopback calls away.
        let client = reqwest::Client::builder().no_proxy().user_agent(AGENT).timeout(PATIENCE);
        Ok(Self::with(client.build()?, token, base, pause))
    }

    fn with(client: reqwest::Client, token: &Token, base: &str, pause: Duration) -> Self {
        Self { client, token: token.clone(), pause, base: base.to_owned() }
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
        let request = self.client.request(call.method.clone(), url).query(call.query);
        let request = request.bearer_auth(&self.token.0);
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

    /// Does something until it succeeds, or fails with what does not pass. `repeatable`: it may be done twice.
    async fn again<T, F: Future<Output = Result<T, ApiError>>>(
        &self,
        repeatable: bool,
        what: impl Fn() -> F,
    ) -> Result<T, ApiError> {
        let (until, mut pause, mut tries) = (Instant::now() + LOCKED, self.pause, 1);
        loop {
            let error = match what().await {
                Err(error) => error,
                done => return done,
            };
            let is_open = error.leaves_open();
            let passes = error.code().is_some_and(Code::passes) && Instant::now() < until;
            let may_be_repeated = is_open && repeatable && tries < TRIES;
            if !passes && !may_be_repeated {
                return Err(error);
            }
            tries += u32::from(is_open);
            tracing::debug!("{error}; again in {} s", pause.as_secs_f32());
            // Many that were refused at once must not come back at once.
            tokio::time::sleep(pause.mul_f32(rand::random_range(0.5..1.0))).await;
            pause = (pause * 2).min(self.pause * LONGEST);
        }
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

fn correlation(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("X-Correlation-Id")?.to_str().ok()?.to_owned())
}
