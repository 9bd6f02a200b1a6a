//! How a session comes about.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use russh::cipher;
use russh::client::{self, Handler};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};

use super::{Session, SshError};

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

/// Seconds after which a node that opens no session counts as silent.
pub const CONNECT_SECONDS: u64 = 4;

/// Whose host keys are believed.
pub(super) enum Trusted {
    /// These alone.
    Pinned(Vec<PublicKey>),
    /// Any: the host was booted a moment ago, and nobody can know its key.
    Any,
}

impl Handler for Trusted {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let Self::Pinned(known) = self else { return Ok(true) };
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        Ok(known.iter().any(|known| known.key_data() == key.key_data()))
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
        Self::open_within(address, Trusted::Pinned(host_keys), keys).await
    }

    /// Connects as root to a host whose key nobody can know: a rescue system makes a new one at each boot and
    /// publishes it nowhere. Whoever sits between could read and change what is sent.
    ///
    /// # Errors
    /// As [`Session::connect`].
    pub async fn connect_unverified(address: Ipv4Addr, key: &str) -> Result<Self, SshError> {
        let key =
            russh::keys::decode_secret_key(key, None).map_err(|e| SshError::Key(address, e))?;
        Self::open_within(address, Trusted::Any, vec![key]).await
    }

    async fn open_within(
        address: Ipv4Addr,
        trusted: Trusted,
        keys: Vec<PrivateKey>,
    ) -> Result<Self, SshError> {
        let limit = Duration::from_secs(CONNECT_SECONDS);
        let open = tokio::time::timeout(limit, Self::open(address, trusted, keys));
        open.await.map_err(|_| SshError::Silent(address, CONNECT_SECONDS))?
    }

    async fn open(
        address: Ipv4Addr,
        trusted: Trusted,
        keys: Vec<PrivateKey>,
    ) -> Result<Self, SshError> {
        let session = |error| SshError::Session(address, error);
        let opened = client::connect(Arc::new(config()), (address, 22), trusted).await;
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
