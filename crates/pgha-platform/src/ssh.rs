//! SSH with a pinned host key: run a program on a node, or tunnel to one of its ports.

mod connect;
mod error;
mod feed;
mod key;
mod tunnel;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::{Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::command;
use connect::Trusted;
pub use connect::{CONNECT_SECONDS, Target};
pub use error::SshError;
pub use feed::Patience;
pub use key::{new_key, public_key};
pub use russh::keys::Error as KeyError;
pub use tunnel::Tunnel;

/// What a program on a node did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit status; absent when a signal, a broken connection or too much output ended it.
    pub status: Option<u32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

const RUN_SECONDS: u64 = 60;
const ANSWER_SECONDS: u64 = 3;

/// The node itself, as its own programs reach it.
const LOOPBACK: &str = "127.0.0.1";

/// More than any program says that pgha runs. One that goes on is taken for one that broke: a node
/// must not fill this machine's memory.
const MOST_BYTES: usize = 8 << 20;

/// An open session to a node.
#[derive(Clone)]
pub struct Session {
    handle: Arc<Handle<Trusted>>,
    address: Ipv4Addr,
}

impl Session {
    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Runs a program to its end, fails when its status is not 0, and gives its stdout.
    ///
    /// # Errors
    /// When it fails or the connection breaks.
    pub async fn run(&self, arguments: &[&str], input: &[u8]) -> Result<String, SshError> {
        let output = self.output(arguments, input).await?;
        self.succeeded(arguments, output)
    }

    fn succeeded(&self, arguments: &[&str], output: Output) -> Result<String, SshError> {
        match output.status {
            Some(0) => Ok(output.stdout),
            status => Err(self.failed(
                arguments,
                status.map_or("no exit status".to_owned(), |s| format!("status {s}")),
                &output.stderr,
            )),
        }
    }

    /// Runs a program that has to answer at once and gives what it printed.
    ///
    /// # Errors
    /// When it fails, takes more than 3 s, or the connection breaks.
    pub async fn answer(&self, arguments: &[&str]) -> Result<String, SshError> {
        let run =
            tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS), self.run(arguments, b""));
        run.await.unwrap_or_else(|_| Err(self.late(arguments, ANSWER_SECONDS)))
    }

    /// Runs a program for at most a minute and gives its status and output.
    ///
    /// # Errors
    /// When the connection breaks or the minute is over.
    pub async fn output(&self, arguments: &[&str], input: &[u8]) -> Result<Output, SshError> {
        let run =
            tokio::time::timeout(Duration::from_secs(RUN_SECONDS), self.exchange(arguments, input));
        match run.await {
            Ok(result) => result.map_err(|error| SshError::Session(self.address, error)),
            Err(_) => Err(self.late(arguments, RUN_SECONDS)),
        }
    }

    async fn exchange(&self, arguments: &[&str], input: &[u8]) -> Result<Output, russh::Error> {
        let (mut read, write) = self.start(arguments).await?.split();
        if !input.is_empty() {
            write.data(input).await?;
        }
        write.eof().await?;
        Ok(collect(&mut read).await)
    }

    async fn start(&self, arguments: &[&str]) -> Result<Channel<client::Msg>, russh::Error> {
        let channel = self.handle.channel_open_session().await?;
        // The protocol carries one string, which the login shell splits: every word is quoted for
        // it.
        let line = shlex::try_join(arguments.iter().copied()).unwrap_or_default();
        channel.exec(true, line).await?;
        Ok(channel)
    }

    /// Sends a line to a Unix socket of the node and gives everything it answers before it hangs
    /// up.
    ///
    /// # Errors
    /// When nobody listens there, or the answer takes more than 3 s.
    pub async fn ask_socket(&self, path: &str, line: &str) -> Result<String, SshError> {
        let limit = Duration::from_secs(ANSWER_SECONDS);
        tokio::time::timeout(limit, self.converse(path, line)).await.unwrap_or_else(|_| {
            Err(self.failed(&[path, line], format!("no answer within {ANSWER_SECONDS} s"), ""))
        })
    }

    async fn converse(&self, path: &str, line: &str) -> Result<String, SshError> {
        let broken = |error: std::io::Error| SshError::Session(self.address, error.into());
        let mut stream = self.socket(path).await?;
        stream.write_all(format!("{line}\n").as_bytes()).await.map_err(broken)?;
        let mut answer = Vec::new();
        stream.take(MOST_BYTES as u64).read_to_end(&mut answer).await.map_err(broken)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// A connection to a Unix socket of the node.
    ///
    /// # Errors
    /// When nobody listens there, or the session is broken.
    pub async fn socket(
        &self,
        path: &str,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, SshError> {
        let channel = self.handle.channel_open_direct_streamlocal(path).await;
        Ok(channel.map_err(|error| SshError::Session(self.address, error))?.into_stream())
    }

    /// A connection to `port` of the node's loopback.
    ///
    /// # Errors
    /// When nobody listens there, or the session is broken.
    pub async fn stream(
        &self,
        port: u16,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + use<>, SshError> {
        let channel = self.handle.channel_open_direct_tcpip(LOOPBACK, port.into(), LOOPBACK, 0);
        let channel = channel.await.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(ChannelOpenFailure::ConnectFailed) => {
                SshError::Closed(self.address, port)
            }
            error => SshError::Session(self.address, error),
        })?;
        Ok(channel.into_stream())
    }

    /// Where the node is.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    fn late(&self, arguments: &[&str], seconds: u64) -> SshError {
        self.failed(arguments, format!("no end within {seconds} s"), "")
    }

    fn failed(&self, arguments: &[&str], status: String, stderr: &str) -> SshError {
        let stderr = command::last_lines(stderr.as_bytes(), 8);
        let call = command::shortened(&arguments.join(" "), 500);
        SshError::Failed { address: self.address, call, status, stderr }
    }
}

/// What a program says until its channel is closed.
async fn collect(channel: &mut ChannelReadHalf) -> Output {
    let (mut status, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, .. } => stderr.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            // It was not even begun.
            ChannelMsg::Failure => break,
            _ => {}
        }
        if stdout.len() + stderr.len() > MOST_BYTES {
            status = None;
            break;
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Output { status, stdout: text(stdout), stderr: text(stderr) }
}
