//! What PostgreSQL stores of a password (SCRAM-SHA-256, RFC 5802). It is not enough to log in.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pbkdf2::hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac_array;
use pbkdf2::sha2::Sha256;

/// The verifier of a password, as PostgreSQL writes it: `SCRAM-SHA-256$LOOP_UNITS:SALT$STORED_KEY:SERVER_KEY`.
pub fn scram_verifier(password: &str) -> String {
    postgres_protocol::password::scram_sha_256(password.as_bytes())
}

/// Whether a verifier was made from this password, with or without white space at the end.
pub(super) fn is_of(verifier: &str, password: &str) -> bool {
    let fits = |password: &str| {
        let prepared = stringprep::saslprep(password);
        let key = server_key(verifier, prepared.as_deref().unwrap_or(password));
        key.is_some_and(|key| verifier.trim().ends_with(&format!(":{key}")))
    };
    fits(password) || fits(password.trim_end())
}

/// The server key (RFC 5802, 3) of a password with a verifier's salt.
fn server_key(verifier: &str, password: &str) -> Option<String> {
    let (rounds, rest) = verifier.strip_prefix("SCRAM-SHA-256$")?.split_once(':')?;
    let salt = STANDARD.decode(rest.split_once('$')?.0).ok()?;
    let salted = pbkdf2_hmac_array::<Sha256, 32>(password.as_bytes(), &salt, rounds.parse().ok()?);
    let key = Hmac::<Sha256>::new_from_slice(&salted).ok()?.chain_update("Server Key");
    Some(STANDARD.encode(key.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_of_one_password() {
        for password in ["correct horse", "ordinal \u{2168}", "ended\n"] {
            assert!(is_of(&scram_verifier(password), password));
        }
        let verifier = scram_verifier("correct horse");
        assert!(is_of(&verifier, "correct horse\n"), "as editors leave it");
        assert!(!is_of(&verifier, "correct  horse"));
        assert!(!is_of("md5of nothing", "correct horse"));
    }
}
