//! A certificate authority made at start, and a certificate of it.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::StartError;

/// An acceptor for that address, and the CA's certificate in PEM.
pub(super) fn acceptor(address: IpAddr) -> Result<(TlsAcceptor, String), StartError> {
    let failed = |error: &dyn std::fmt::Display| StartError::Certificate(error.to_string());
    let ca_key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "easload mock CA");
    let ca_certificate = ca.self_signed(&ca_key).map_err(|error| failed(&error))?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let mut leaf =
        CertificateParams::new(vec!["localhost".to_owned()]).map_err(|error| failed(&error))?;
    leaf.subject_alt_names.push(SanType::IpAddress(address));
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    let certificate = leaf
        .signed_by(&key, &issuer)
        .map_err(|error| failed(&error))?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .map_err(|error| failed(&error))?;
    Ok((TlsAcceptor::from(Arc::new(config)), ca_certificate.pem()))
}
