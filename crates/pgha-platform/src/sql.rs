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

/// TLS for SQL connections. `ca`: certificates of the authorities that are trusted, PEM.
///
/// # Errors
/// When it cannot be read.
pub fn connector(ca: &str) -> Result<MakeRustlsConnect, AuthorityError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        roots.add(certificate?)?;
    }
    Ok(MakeRustlsConnect::new(
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth(),
    ))
}
