//! The fake as a server on this machine.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::answer::{Outcome, Refusal};
use crate::fault::{self, Fault, Trouble};
use crate::hardware::Hardware;
use crate::listing::Query;
use crate::project::Project;

/// Requests that a project may send in an hour.
const RATE: u32 = 3600;

/// How a fake behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The port; 0 for any.
    pub port: u16,
    /// The token that it takes.
    pub token: String,
    /// How long an action takes.
    pub pace: Duration,
    /// Directory of one server's hardware, for a rescue system beside the fake. Absent: servers are words alone.
    pub hardware: Option<PathBuf>,
}

/// A request that was made.
#[derive(Debug, Clone)]
pub struct Request {
    /// The HTTP method.
    pub method: String,
    /// Path and query behind `/v1/`.
    pub path: String,
    /// The body.
    pub body: String,
    /// The status of the answer. Absent: there was none.
    pub status: Option<u16>,
}

/// A running fake. It ends with this value.
pub struct Fake {
    /// Where its API begins.
    pub url: String,
    state: Arc<State>,
    listening: tokio::task::JoinHandle<()>,
}

struct State {
    token: String,
    inner: Mutex<Inner>,
}

struct Inner {
    project: Project,
    faults: Vec<Fault>,
    requests: Vec<Request>,
    left: u32,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Fake {
    /// Starts one on loopback.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        let project = Project::new(options.pace, options.hardware.map(Hardware::new));
        let inner = Inner { project, faults: Vec::new(), requests: Vec::new(), left: RATE };
        let state = Arc::new(State { token: options.token, inner: Mutex::new(inner) });
        let listening = tokio::spawn(listen(listener, Arc::clone(&state)));
        Ok(Self { url, state, listening })
    }

    /// Lets something go wrong.
    pub fn inject(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn end_faults(&self) {
        self.state.lock().faults.clear();
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state.lock().requests.clone()
    }

    /// What a server can read of itself.
    pub fn user_data(&self, server: &str) -> Option<String> {
        self.state.lock().project.user_data(server).map(str::to_owned)
    }

    /// Makes a server type run out in a location, or be there again.
    pub fn set_available(&self, server_type: &str, location: &str, available: bool) {
        self.state.lock().project.catalog.set_available(server_type, location, available);
    }

    /// How long an action takes from now on.
    pub fn set_pace(&self, pace: Duration) {
        self.state.lock().project.set_pace(pace);
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(converse(stream, Arc::clone(&state)));
    }
}

async fn converse(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(|request| answer(request, &state));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // What ends a connection is for the client to see.
    let _ = connection.await;
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

async fn answer(
    request: HttpRequest<Incoming>,
    state: &State,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let bearer = format!("Bearer {}", state.token);
    let is_known =
        head.headers.get(AUTHORIZATION).is_some_and(|given| given.as_bytes() == bearer.as_bytes());
    let path = head.uri.path_and_query().map_or("", |whole| whole.as_str());
    let path = path.strip_prefix("/v1/").unwrap_or_default().to_owned();
    let mut request = Request {
        method: head.method.to_string(),
        path,
        body: String::from_utf8_lossy(&body).into_owned(),
        status: None,
    };
    let mut inner = state.lock();
    let response = inner.answer(&request, is_known);
    request.status = response.as_ref().ok().map(|response| response.status().as_u16());
    inner.requests.push(request);
    response
}

impl Inner {
    fn answer(&mut self, request: &Request, is_known: bool) -> Result<Response<Full<Bytes>>, Cut> {
        self.left = self.left.saturating_sub(1);
        let trouble = fault::take(&mut self.faults, &request.method, &request.path);
        match trouble {
            _ if !is_known => {
                Ok(self.respond(Err(Refusal::new(401, "unauthorized", "the token is not valid"))))
            }
            Some(Trouble::Refused(refusal)) => Ok(self.respond(Err(refusal))),
            Some(Trouble::Html(status)) => Ok(html(status)),
            Some(Trouble::CutBefore) => Err(Cut),
            Some(Trouble::CutAfter) => {
                let _ = self.carry_out(request);
                Err(Cut)
            }
            Some(Trouble::ActionFails(message)) => {
                self.project.actions.fails_next = Some(message);
                let outcome = self.carry_out(request);
                self.project.actions.fails_next = None;
                Ok(self.respond(outcome))
            }
            None => {
                let outcome = self.carry_out(request);
                Ok(self.respond(outcome))
            }
        }
    }

    fn carry_out(&mut self, request: &Request) -> Outcome {
        let body = match request.body.as_str() {
            "" => Value::Object(Default::default()),
            text => serde_json::from_str(text)
                .map_err(|_| Refusal::new(400, "json_error", "no JSON"))?,
        };
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let query = Query::read(query);
        self.project.call(&request.method, path, &query, &body)
    }

    fn respond(&self, outcome: Outcome) -> Response<Full<Bytes>> {
        let (status, body) = match outcome {
            Ok(answer) => (answer.status, answer.body),
            Err(refusal) => (refusal.status, Some(refusal.body())),
        };
        let response = Response::builder()
            .status(status)
            .header("RateLimit-Limit", RATE)
            .header("RateLimit-Remaining", self.left)
            .header("RateLimit-Reset", jiff::Timestamp::now().as_second() + 1)
            .header("X-Correlation-Id", format!("fake{:012x}", self.requests.len()));
        // Without a body no type of it: `hcloud` would read it.
        let (response, text) = match body {
            Some(body) => (response.header(CONTENT_TYPE, "application/json"), body.to_string()),
            None => (response, String::new()),
        };
        response.body(Full::from(text)).expect("every part of it is valid")
    }
}

fn html(status: u16) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "text/html");
    response
        .body(Full::from("<html><h1>Bad Gateway</h1></html>"))
        .expect("every part of it is valid")
}
