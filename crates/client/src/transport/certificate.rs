//! A client's own certificate, for servers that ask for one.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use scenario::ClientCertificate;

use super::tls::{TlsError, pem_of};

/// What is wrong with a PEM file. The library quotes lines of it, which may be part of a key.
fn without_content(error: pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end".to_owned(),
        pem::Error::IllegalSectionStart { .. } => {
            "a section does not begin as it should".to_owned()
        }
        pem::Error::Base64Decode(_) => "a section is not Base64".to_owned(),
        error => error.to_string(),
    }
}

/// Whether a certificate can be used.
///
/// # Errors
/// When a file cannot be read, or certificate and key do not go together.
pub fn check_certificate(certificate: &ClientCertificate) -> Result<(), TlsError> {
    load(certificate).map(drop)
}

/// A certificate with its key.
pub(super) fn load(certificate: &ClientCertificate) -> Result<CertifiedKey, TlsError> {
    let fail = |path: &Path, problem: String| TlsError::Certificate {
        path: path.to_owned(),
        problem,
    };
    let read = |path: &Path| pem_of(path).map_err(|error| fail(path, error.to_string()));
    let pem = read(&certificate.certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| fail(&certificate.certificate, without_content(error)))?;
    if chain.is_empty() {
        let problem = "it holds no certificate in PEM form".to_owned();
        return Err(fail(&certificate.certificate, problem));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&certificate.key)?).map_err(|error| {
        let problem = match error {
            pem::Error::NoItemsFound => "it holds no private key in PEM form".to_owned(),
            error => without_content(error),
        };
        fail(&certificate.key, problem)
    })?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
        let problem = format!("certificate and key do not go together: {error}");
        fail(&certificate.key, problem)
    })
}
