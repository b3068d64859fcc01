//! A client's own certificate, for servers that ask for one.

use std::path::PathBuf;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::tls::TlsError;

/// Where a certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub key: PathBuf,
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
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(|certificates| certificates.collect());
        let chain = chain.map_err(|error| fail(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            let problem = "it holds no certificate in PEM form".to_owned();
            return Err(fail(&self.certificate, problem));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| {
            let problem = match error {
                pem::Error::NoItemsFound => "it holds no private key in PEM form".to_owned(),
                error => error.to_string(),
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
