//! TLS for devices: verified by the system's authorities or a given file, unless told otherwise.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How a server's certificate is judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trust the authorities in this PEM file instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Trust anybody. Only when the user asks.
    pub insecure: bool,
}

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The CA file cannot be used.
    #[error("CA file {path}: {problem}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A client's certificate or key cannot be used.
    #[error("client certificate {path}: {problem}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificates are shown over TLS only.
    #[error("a client certificate needs an https URL")]
    NeedsTls,
    /// The system has no authorities.
    #[error("this system has no trusted certificate authorities; name a CA file")]
    NoAuthorities,
    /// The host cannot be the name in a certificate.
    #[error("`{0}` cannot be the name in a certificate")]
    Name(String),
    /// rustls refuses the configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// A client for what is not a device's: sources of figures and web hooks, through no proxy. It trusts
/// the system's authorities; where there are none it does plain HTTP only.
pub(crate) fn web_client() -> reqwest::ClientBuilder {
    match client_config(&TlsOptions::default()) {
        Ok(config) => reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(config),
        Err(_) => mock_server::plain_http(),
    }
}

/// One configuration for all devices: roots and session cache are too large to have one each.
pub(super) fn client_config(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
        Arc::new(TrustAnybody(provider))
    } else {
        let roots = Arc::new(authorities(options)?);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        Arc::new(Explaining(inner))
    };
    Ok(builder
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}

fn authorities(options: &TlsOptions) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.ca_file {
        let fail = |problem: String| TlsError::CaFile {
            path: path.clone(),
            problem,
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| fail(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| fail(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(fail("it holds no certificate in PEM form".to_owned()));
        }
        return Ok(roots);
    }
    // Single unreadable files of a system are not this program's business; having none is.
    let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(TlsError::NoAuthorities)
    } else {
        Ok(roots)
    }
}

/// What a handshake failed on, for people.
pub(super) fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection inside the handshake; is it a plain HTTP port?"
                .to_owned()
        }
        _ => {
            let text = error.to_string();
            if text.contains("InvalidContentType") || text.contains("corrupt message") {
                "the server does not speak TLS on this port".to_owned()
            } else {
                text
            }
        }
    }
}

/// Verifies as usual, and says of a refused certificate who it is for and who signed it.
#[derive(Debug)]
struct Explaining(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| {
                let (subject, issuer) = parties(end_entity);
                rustls::Error::General(format!(
                    "the certificate shown for `{}` is not trusted: {error} (subject {subject}, issuer {issuer})",
                    server_name.to_str()
                ))
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn parties(certificate: &CertificateDer<'_>) -> (String, String) {
    match x509_parser::parse_x509_certificate(certificate) {
        Ok((_, parsed)) => (parsed.subject().to_string(), parsed.issuer().to_string()),
        Err(_) => ("unreadable".to_owned(), "unreadable".to_owned()),
    }
}

/// What `insecure` means: signatures are still checked, names and issuers are not.
#[derive(Debug)]
struct TrustAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
