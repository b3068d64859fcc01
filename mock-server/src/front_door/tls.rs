//! TLS towards devices: a certificate authority made at start, or given files; client certificates.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use mock_api::config::{MockConfig, Tls};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::StartError;

/// Sessions that Schannel keeps unless it is told otherwise (MaximumCacheSize). They are the front
/// door's, so a recycle leaves them.
const SESSIONS: usize = 20_000;

fn versions(config: &MockConfig) -> Vec<&'static SupportedProtocolVersion> {
    let versions = config.tls_versions.iter();
    let supported = versions.map(|version| match version.as_str() {
        "1.2" => &rustls::version::TLS12,
        _ => &rustls::version::TLS13,
    });
    supported.collect()
}

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Certificate(error.to_string())
}

/// An acceptor if the mock speaks TLS, and the CA's certificate in PEM if it made one.
pub(super) fn acceptor(
    config: &MockConfig,
) -> Result<(Option<TlsAcceptor>, Option<String>), StartError> {
    let (chain, key, ca) = match &config.tls {
        Tls::Off => return Ok((None, None)),
        Tls::Generated => {
            let (chain, key, ca) = generate(config.listen.ip())?;
            (chain, key, Some(ca))
        }
        Tls::Files { certificate, key } => {
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| failed(format!("{}: {error}", key.display())))?;
            (certificates(certificate)?, key, None)
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(config))
        .map_err(failed)?;
    let builder = match &config.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(failed)?;
            }
            // Without a certificate a client still may log in by password.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(failed)?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(failed)?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok((Some(TlsAcceptor::from(Arc::new(config))), ca))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let named = |error: &dyn std::fmt::Display| failed(format!("{}: {error}", path.display()));
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| named(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| named(&error))?;
    if chain.is_empty() {
        return Err(named(&"expected a certificate in PEM"));
    }
    Ok(chain)
}

type Generated = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, String);

fn generate(address: IpAddr) -> Result<Generated, StartError> {
    let ca_key = KeyPair::generate().map_err(failed)?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "easload mock CA");
    let ca_certificate = ca.self_signed(&ca_key).map_err(failed)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().map_err(failed)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    leaf.subject_alt_names.push(SanType::IpAddress(address));
    leaf.distinguished_name
        .push(DnType::CommonName, "localhost");
    let certificate = leaf.signed_by(&key, &issuer).map_err(failed)?;
    Ok((
        vec![certificate.der().clone()],
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        ca_certificate.pem(),
    ))
}

/// The user whom the client's certificate names: its common name.
pub(super) fn client_user(connection: &ServerConnection) -> Option<String> {
    let certificate = connection.peer_certificates()?.first()?;
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    Some(name.as_str().ok()?.to_owned())
}
