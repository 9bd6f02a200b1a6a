//! The authorities: who is trusted, and who signs.

use pgha_core::service;
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::pem::Pem;

use super::authority::{self, Pair};
use super::{NEXT, PREVIOUS, Secrets, SecretsError};

/// Their files: `ca.crt` holds every certificate that is trusted, `ca.key` the key that signs. While
/// authorities are rotated, two are trusted.
pub(super) const AUTHORITIES: [&str; 2] =
    [service::Authority::Services.file(), service::Authority::Etcd.file()];

/// One of the authorities.
pub(super) struct Authority {
    pub(super) file: &'static str,
    /// The certificate and key that sign. Absent: the key is lost, and the next one does not sign
    /// yet.
    pub(super) signs: Option<Pair>,
}

/// Makes sure that each of its keys has a trusted certificate: the key that signs, and the next one.
pub(super) fn ensure_authority(
    secrets: &mut Secrets,
    file: &'static str,
    name: &str,
) -> Result<Authority, SecretsError> {
    let (trusted, key, next) =
        (format!("{file}.crt"), format!("{file}.key"), format!("{NEXT}{file}.key"));
    let nobody_signs = !secrets.files.contains_key(&key) && !secrets.files.contains_key(&next);
    if nobody_signs && secrets.running.is_empty() {
        secrets.put(&key, authority::key().map_err(failed(file))?);
        secrets.files.remove(&trusted);
    } else if nobody_signs && !secrets.files.contains_key(&trusted) {
        return Err(secrets.lost(&key));
    }
    for key in [&key, &next] {
        ensure_trusted(secrets, &trusted, key, name)?;
    }
    trust_previous(secrets, &trusted);
    let trusted = secrets.file(&trusted).expose().to_owned();
    let key = secrets.files.get(&key).map(|key| key.expose().to_owned());
    let signs = key.and_then(|key| {
        let certificate = of_key(&trusted, &KeyPair::from_pem(&key).ok()?)?;
        Some(Pair { certificate, key })
    });
    Ok(Authority { file, signs })
}

fn ensure_trusted(
    secrets: &mut Secrets,
    trusted: &str,
    key: &str,
    name: &str,
) -> Result<(), SecretsError> {
    let Some(text) = secrets.files.get(key) else { return Ok(()) };
    let pair = KeyPair::from_pem(text.expose()).map_err(failed(key))?;
    let there = secrets.files.get(trusted).map_or(String::new(), |pem| pem.expose().to_owned());
    if of_key(&there, &pair).is_none() {
        let made = authority::authority(name, &pair).map_err(failed(key))?;
        secrets.put(trusted, there + &made);
    }
    Ok(())
}

/// Keeps the previous authority trusted. Nodes have its certificates until they are given new ones.
fn trust_previous(secrets: &mut Secrets, trusted: &str) {
    let text = |name: &str| secrets.files.get(name).map(|pem| pem.expose().to_owned());
    let (Some(there), Some(before)) = (text(trusted), text(&format!("{PREVIOUS}{trusted}"))) else {
        return;
    };
    let missing = each(&before).filter(|pem| !there.contains(pem.trim())).collect::<String>();
    if !missing.is_empty() {
        secrets.put(trusted, there.clone() + &missing);
    }
}

/// A new key of one of the authorities.
pub(super) fn new_key(file: &str) -> Result<String, SecretsError> {
    authority::key().map_err(failed(file))
}

/// Trusts only the authority that signs.
pub(super) fn trust_one(secrets: &mut Secrets) -> Result<(), SecretsError> {
    for file in AUTHORITIES {
        let trusted = format!("{file}.crt");
        let pair = KeyPair::from_pem(secrets.file(&format!("{file}.key")).expose());
        let pair = pair.map_err(failed(file))?;
        let there = secrets.file(&trusted).expose();
        if let Some(own) = of_key(there, &pair).filter(|own| own != there) {
            secrets.put(&trusted, own);
        }
    }
    Ok(())
}

/// The one of these certificates, PEM, that belongs to `key`.
fn of_key(pem: &str, key: &KeyPair) -> Option<String> {
    let has_key = |pem: &str| {
        let pem = first(pem)?;
        let found = pem.parse_x509().ok()?;
        Some(found.public_key().raw == key.subject_public_key_info())
    };
    each(pem).find(|pem| has_key(pem) == Some(true))
}

/// Each certificate of a text, PEM.
fn each(pem: &str) -> impl Iterator<Item = String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = pem.split_inclusive(END).map(str::trim).filter(|part| part.ends_with(END));
    parts.map(|part| format!("{part}\n"))
}

pub(super) fn failed(file: &str) -> impl FnOnce(rcgen::Error) -> SecretsError {
    let name = file.to_owned();
    move |source| SecretsError::Certificate { name, source }
}

pub(super) fn first(pem: &str) -> Option<Pem> {
    Pem::iter_from_buffer(pem.as_bytes()).next()?.ok()
}
