//! A private certificate authority.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// An authority outlives every certificate it signs. Ten years.
const AUTHORITY_DAYS: i64 = 3650;

/// A certificate of a daemon. One year: longer than any image should live.
const CERTIFICATE_DAYS: i64 = 365;

/// Certificate and key, PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// Makes an authority.
pub(super) fn authority(name: &str) -> Result<Pair, rcgen::Error> {
    let mut params = params(name, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Makes a key, PEM.
pub(super) fn key() -> Result<String, rcgen::Error> {
    Ok(KeyPair::generate()?.serialize_pem())
}

/// Makes a certificate, PEM, for a daemon with this key that serves under `names` and also calls
/// others.
pub(super) fn sign(
    authority: &Pair,
    key: &KeyPair,
    name: &str,
    names: &[SanType],
) -> Result<String, rcgen::Error> {
    let mut params = params(name, CERTIFICATE_DAYS);
    params.subject_alt_names = names.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    Ok(params.signed_by(key, &issuer)?.pem())
}

fn params(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    // An hour back: a node whose clock lags must not refuse a new certificate.
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
    params
}
