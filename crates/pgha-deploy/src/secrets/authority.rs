//! A private certificate authority.

use pgha_core::service::Usage;
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

/// Makes the certificate, PEM, of the authority that has this key.
pub(super) fn authority(name: &str, key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = params(name, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

/// Makes a key, PEM.
pub(super) fn key() -> Result<String, rcgen::Error> {
    Ok(KeyPair::generate()?.serialize_pem())
}

fn purposes(usage: Usage) -> Vec<ExtendedKeyUsagePurpose> {
    let serves = usage.serves().then_some(ExtendedKeyUsagePurpose::ServerAuth);
    let calls = usage.calls().then_some(ExtendedKeyUsagePurpose::ClientAuth);
    serves.into_iter().chain(calls).collect()
}

/// Makes a certificate, PEM, for `key`. A server certificate is valid for `names`.
pub(super) fn sign(
    authority: &Pair,
    key: &KeyPair,
    name: &str,
    names: &[SanType],
    usage: Usage,
) -> Result<String, rcgen::Error> {
    let mut params = params(name, CERTIFICATE_DAYS);
    params.subject_alt_names = names.to_vec();
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = purposes(usage);
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
