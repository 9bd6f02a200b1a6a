//! TLS for SQL clients that trust one private certificate authority.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The authority's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate authority cannot be read")]
pub enum AuthorityError {
    /// It is no PEM.
    Pem(#[from] pem::Error),
    /// It is no certificate of an authority.
    Certificate(#[from] rustls::Error),
}

/// What SQL connections are secured with. `ca`: the authority's certificate, PEM.
///
/// # Errors
/// When it cannot be read.
pub fn connector(ca: &str) -> Result<MakeRustlsConnect, AuthorityError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    Ok(MakeRustlsConnect::new(
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth(),
    ))
}
