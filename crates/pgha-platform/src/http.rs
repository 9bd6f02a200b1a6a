//! HTTPS clients that trust one private certificate authority.

use std::net::SocketAddr;
use std::time::Duration;

/// More than any daemon sends: etcd stores no value above 1.5 MB. The rest is not read.
const MOST_BYTES: usize = 8 << 20;

/// The text of an answer.
///
/// # Errors
/// When the connection breaks.
pub async fn text(mut answer: reqwest::Response) -> Result<String, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BYTES
        && let Some(chunk) = answer.chunk().await?
    {
        bytes.extend_from_slice(&chunk);
    }
    bytes.truncate(MOST_BYTES);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A client's identity, and the authorities it trusts.
pub struct Trust<'t> {
    /// Certificates of the authorities that are trusted, PEM.
    pub ca: &'t str,
    /// The client's own certificate and key, PEM.
    pub certificate: &'t str,
    /// Key of the certificate, PEM.
    pub key: &'t str,
}

/// A client for the server called `name`, whose traffic goes to `through`.
///
/// # Errors
/// When a certificate or key cannot be read.
pub fn client(
    trust: &Trust<'_>,
    name: &str,
    through: SocketAddr,
) -> Result<reqwest::Client, reqwest::Error> {
    let identity =
        reqwest::Identity::from_pem(format!("{}\n{}", trust.certificate, trust.key).as_bytes())?;
    let authorities = reqwest::Certificate::from_pem_bundle(trust.ca.as_bytes())?;
    let client = reqwest::Client::builder().use_rustls_tls().tls_built_in_root_certs(false);
    authorities
        .into_iter()
        .fold(client, reqwest::ClientBuilder::add_root_certificate)
        .identity(identity)
        .resolve(name, through)
        // A proxy variable in the environment must not redirect loopback calls.
        .no_proxy()
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(5))
        .build()
}
