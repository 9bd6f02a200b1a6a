//! SSH with a pinned host key: run a program on a node, or tunnel to one of its ports.

mod tunnel;

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use russh::cipher;
use russh::client::{self, Handle, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelOpenFailure};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::command;
pub use tunnel::Tunnel;

/// Where and as whom to connect.
#[derive(Clone)]
pub struct Target {
    /// Address of the node.
    pub address: Ipv4Addr,
    /// The only host keys to accept, in OpenSSH's one-line form.
    pub host_keys: Vec<String>,
    /// The operator's private keys, in OpenSSH's PEM form, in the order they are tried.
    pub keys: Vec<String>,
}

/// A connection that failed, or a program that did.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// A key of the secrets directory cannot be read.
    #[error("cannot read the SSH key for {0}")]
    Key(Ipv4Addr, #[source] russh::keys::Error),
    /// Nothing answered in time.
    #[error("{0} did not answer on port 22 within {1} s")]
    Silent(Ipv4Addr, u64),
    /// The node answered, but no session came about.
    #[error("cannot open an SSH session to {0}")]
    Session(Ipv4Addr, #[source] russh::Error),
    /// No program of the node listens there.
    #[error("nobody listens on port {1} of {0}")]
    Closed(Ipv4Addr, u16),
    /// Whoever answered is not the node, or the node has another seed.
    #[error(
        "{0} shows another SSH host key than the secrets directory has for it: another machine, or secrets of another day"
    )]
    Stranger(Ipv4Addr),
    /// The node refused the operator's key.
    #[error("{0} refused the operator's SSH key")]
    Denied(Ipv4Addr),
    /// The program failed, or the connection broke before it ended.
    #[error("`{call}` on {address} failed ({status}): {stderr}")]
    Failed {
        /// The node.
        address: Ipv4Addr,
        /// Program and arguments.
        call: String,
        /// Exit status, or what happened instead.
        status: String,
        /// The last lines of stderr.
        stderr: String,
    },
}

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

/// Seconds after which a node that opens no session counts as silent.
pub const CONNECT_SECONDS: u64 = 4;
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
    handle: Arc<Handle<Pinned>>,
    address: Ipv4Addr,
}

struct Pinned(Vec<PublicKey>);

impl Handler for Pinned {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        Ok(self.0.iter().any(|known| known.key_data() == key.key_data()))
    }
}

impl Session {
    /// Connects as root.
    ///
    /// # Errors
    /// When the node does not answer within 4 s, shows another host key, or refuses the operator's
    /// key.
    pub async fn connect(target: &Target) -> Result<Self, SshError> {
        let address = target.address;
        let host_keys = target.host_keys.iter().map(|key| PublicKey::from_openssh(key));
        let host_keys = host_keys.collect::<Result<_, _>>();
        let host_keys = host_keys.map_err(|e| SshError::Key(address, e.into()))?;
        let keys = target.keys.iter().map(|key| russh::keys::decode_secret_key(key, None));
        let keys = keys.collect::<Result<_, _>>().map_err(|e| SshError::Key(address, e))?;
        let open = Self::open(address, host_keys, keys);
        let limit = Duration::from_secs(CONNECT_SECONDS);
        tokio::time::timeout(limit, open)
            .await
            .map_err(|_| SshError::Silent(address, CONNECT_SECONDS))?
    }

    async fn open(
        address: Ipv4Addr,
        host_keys: Vec<PublicKey>,
        keys: Vec<PrivateKey>,
    ) -> Result<Self, SshError> {
        let session = |error| SshError::Session(address, error);
        let opened = client::connect(Arc::new(config()), (address, 22), Pinned(host_keys)).await;
        let mut handle = opened.map_err(|error| match error {
            russh::Error::UnknownKey => SshError::Stranger(address),
            error => session(error),
        })?;
        for key in keys {
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            if handle.authenticate_publickey("root", key).await.map_err(session)?.success() {
                return Ok(Self { handle: Arc::new(handle), address });
            }
        }
        Err(SshError::Denied(address))
    }

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
        run.await.unwrap_or_else(|_| {
            Err(self.failed(arguments, format!("no end within {ANSWER_SECONDS} s"), ""))
        })
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
            Err(_) => Err(self.failed(arguments, format!("no end within {RUN_SECONDS} s"), "")),
        }
    }

    async fn exchange(&self, arguments: &[&str], input: &[u8]) -> Result<Output, russh::Error> {
        let mut channel = self.handle.channel_open_session().await?;
        // The protocol carries one string, which the login shell splits: every word is quoted for
        // it.
        let line = shlex::try_join(arguments.iter().copied()).unwrap_or_default();
        channel.exec(true, line).await?;
        if !input.is_empty() {
            channel.data(input).await?;
        }
        channel.eof().await?;
        let (mut status, mut stdout, mut stderr) = (None, Vec::new(), Vec::new());
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => stdout.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, .. } => stderr.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
                _ => {}
            }
            if stdout.len() + stderr.len() > MOST_BYTES {
                status = None;
                break;
            }
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
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

    fn failed(&self, arguments: &[&str], status: String, stderr: &str) -> SshError {
        let stderr = command::last_lines(stderr.as_bytes(), 8);
        let call = command::shortened(&arguments.join(" "), 500);
        SshError::Failed { address: self.address, call, status, stderr }
    }
}

fn config() -> client::Config {
    let mut config = client::Config {
        // Without keepalives a dead peer would never be noticed.
        keepalive_interval: Some(Duration::from_secs(5)),
        keepalive_max: 2,
        nodelay: true,
        ..client::Config::default()
    };
    // The default prefers ChaCha20, which is slower wherever the processor knows AES.
    config.preferred.cipher =
        Cow::Borrowed(&[cipher::AES_256_GCM, cipher::CHACHA20_POLY1305, cipher::AES_256_CTR]);
    config
}
