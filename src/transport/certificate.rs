//! A client's own certificate, for servers that ask for one.

use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::tls::{TlsError, pem_of};

/// Where a certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub key: PathBuf,
}

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

impl ClientCertificate {
    /// Whether it can be used.
    ///
    /// # Errors
    /// When a file cannot be read, or certificate and key do not go together.
    pub fn check(&self) -> Result<(), TlsError> {
        self.load().map(drop)
    }

    pub(super) fn load(&self) -> Result<CertifiedKey, TlsError> {
        let fail = |path: &PathBuf, problem: String| TlsError::Certificate {
            path: path.clone(),
            problem,
        };
        let read = |path: &PathBuf| pem_of(path).map_err(|error| fail(path, error.to_string()));
        let pem = read(&self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|error| fail(&self.certificate, without_content(error)))?;
        if chain.is_empty() {
            let problem = "it holds no certificate in PEM form".to_owned();
            return Err(fail(&self.certificate, problem));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|error| {
            let problem = match error {
                pem::Error::NoItemsFound => "it holds no private key in PEM form".to_owned(),
                error => without_content(error),
            };
            fail(&self.key, problem)
        })?;
        let provider = rustls::crypto::ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            let problem = format!("certificate and key do not go together: {error}");
            fail(&self.key, problem)
        })
    }
}
