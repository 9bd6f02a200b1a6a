//! Key pairs, Ed25519.

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, Error, PrivateKey};
use zeroize::Zeroizing;

/// A new private key, in OpenSSH's PEM form.
///
/// # Errors
/// When it cannot be written in that form.
pub fn new_key() -> Result<Zeroizing<String>, Error> {
    Ok(PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?.to_openssh(LineEnding::LF)?)
}

/// The public key of a private one, in OpenSSH's one-line form.
///
/// # Errors
/// When that is no private key.
pub fn public_key(private: &str) -> Result<String, Error> {
    Ok(russh::keys::decode_secret_key(private, None)?.public_key().to_openssh()?)
}
