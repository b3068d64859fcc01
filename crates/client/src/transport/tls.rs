//! TLS for devices: verified by the system's authorities or a given file, unless told otherwise.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, ProtocolVersion, RootCertStore,
    SignatureScheme, SupportedProtocolVersion,
};
use scenario::{TlsOptions, TlsVersion};
use text::decode;

use super::sessions::OfWhoeverAsks;
use super::tls_words::of_certificate;

/// The library's name for a version.
fn supported(version: TlsVersion) -> &'static SupportedProtocolVersion {
    match version {
        TlsVersion::Tls12 => &rustls::version::TLS12,
        TlsVersion::Tls13 => &rustls::version::TLS13,
    }
}

/// The version that was agreed on.
pub(super) fn agreed(version: Option<ProtocolVersion>) -> TlsVersion {
    match version {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        _ => TlsVersion::Tls12,
    }
}

/// A TLS handshake that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handshake {
    /// How long it took.
    pub took: Duration,
    /// The version that was agreed on.
    pub version: TlsVersion,
    /// An earlier session was resumed: no certificate, and a fraction of the server's work.
    pub resumed: bool,
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

/// The configuration that all connections share: the roots are too large to have them each.
///
/// # Errors
/// When the authorities cannot be read, or there are none.
pub fn client_config(options: &TlsOptions) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions: Vec<_> = match options.versions.as_slice() {
        [] => rustls::DEFAULT_VERSIONS.to_vec(),
        chosen => chosen.iter().copied().map(supported).collect(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
        Arc::new(TrustAnybody(provider))
    } else {
        let (roots, named) = authorities(options)?;
        let roots = Arc::new(roots);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsError::Setup(error.to_string()))?;
        Arc::new(Explaining { inner, named })
    };
    let mut config = builder
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = if options.full_handshakes {
        Resumption::disabled()
    } else {
        Resumption::store(Arc::new(OfWhoeverAsks))
    };
    Ok(config)
}

/// A PEM file, which may be UTF-16 if PowerShell wrote it.
pub(super) fn pem_of(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = std::fs::read(path)?;
    // Comments in PEM may be in any encoding.
    Ok(decode(&bytes).map_or(bytes, String::into_bytes))
}

/// The authorities to trust, and the certificates of the CA file if there is one.
fn authorities(
    options: &TlsOptions,
) -> Result<(RootCertStore, Option<Vec<CertificateDer<'static>>>), TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.ca_file {
        let fail = |problem: String| TlsError::CaFile {
            path: path.clone(),
            problem,
        };
        let pem = pem_of(path).map_err(|error| fail(error.to_string()))?;
        let mut named = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| fail(error.to_string()))?;
            roots
                .add(certificate.clone())
                .map_err(|error| fail(error.to_string()))?;
            named.push(certificate);
        }
        if roots.is_empty() {
            return Err(fail("it holds no certificate in PEM form".to_owned()));
        }
        return Ok((roots, Some(named)));
    }
    // Single unreadable files of a system are not this program's business; having none is.
    let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        Err(TlsError::NoAuthorities)
    } else {
        Ok((roots, None))
    }
}

tokio::task_local! {
    /// What a server proved in the handshake under way. For a library that does not tell what its
    /// handshakes were.
    static PROVEN: RefCell<Option<Proof>>;
}

/// A server's proof of its identity, which it gives in full handshakes only.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) version: TlsVersion,
    pub(super) certificate: CertificateDer<'static>,
}

/// Waits for a connection, and for what a server proved in the making of it: nothing where a session
/// was resumed.
pub(super) async fn with_proof<T>(made: impl Future<Output = T>) -> (T, Option<Proof>) {
    let watched = async {
        let made = made.await;
        (made, PROVEN.with(RefCell::take))
    };
    PROVEN.scope(RefCell::default(), watched).await
}

fn proven(version: TlsVersion, certificate: &CertificateDer<'_>) {
    // Where nobody watches, nobody asks.
    let _ = PROVEN.try_with(|proven| {
        proven.replace(Some(Proof {
            version,
            certificate: certificate.clone().into_owned(),
        }))
    });
}

/// Verifies as usual, trusts the certificates of the CA file themselves as well, and says of a refused certificate who it
/// is for and who signed it.
#[derive(Debug)]
struct Explaining {
    inner: Arc<WebPkiServerVerifier>,
    /// The certificates of the CA file; `None` without one.
    named: Option<Vec<CertificateDer<'static>>>,
}

impl Explaining {
    /// Accepts a certificate that is in the CA file itself. webpki refuses a self-signed one that is marked as an
    /// authority, as most tools mark theirs. Name and time must fit all the same.
    fn is_named(
        &self,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<bool, rustls::Error> {
        let mut named = self.named.iter().flatten();
        if !named.any(|one| one.as_ref() == certificate.as_ref()) {
            return Ok(false);
        }
        check_time(certificate, now)?;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, server_name)?;
        Ok(true)
    }
}

fn check_time(certificate: &[u8], now: UnixTime) -> Result<(), rustls::Error> {
    let bad = CertificateError::BadEncoding;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| bad.clone())?;
    let now = i64::try_from(now.as_secs()).map_err(|_| bad.clone())?;
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if now > validity.not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

impl ServerCertVerifier for Explaining {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let error = match verified {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        let error = match self.is_named(end_entity, server_name, now) {
            Ok(true) => return Ok(ServerCertVerified::assertion()),
            Ok(false) => error,
            Err(error) => error,
        };
        let text = of_certificate(&error, end_entity, server_name, self.named.is_some());
        Err(rustls::Error::General(text))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        proven(TlsVersion::Tls12, certificate);
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        proven(TlsVersion::Tls13, certificate);
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
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
        proven(TlsVersion::Tls12, certificate);
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        proven(TlsVersion::Tls13, certificate);
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// A self-signed certificate for mail.lab, and what a device that trusts that file says of it.
    fn judged(is_ca: bool, name: &str, year: i32, in_file: bool) -> Result<(), String> {
        let mut params = CertificateParams::new(vec!["mail.lab".to_owned()]).unwrap();
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let make = || {
            let key = KeyPair::generate().unwrap();
            params.clone().self_signed(&key).unwrap()
        };
        let (shown, other) = (make(), make());
        let named = if in_file { &shown } else { &other };
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(named.pem().as_bytes()).unwrap();
        let options = TlsOptions {
            ca_file: Some(file.path().to_owned()),
            ..TlsOptions::default()
        };
        let (roots, named) = authorities(&options).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(1_780_000_000));
        Explaining { inner, named }
            .verify_server_cert(shown.der(), &[], &name, &[], now)
            .map(drop)
            .map_err(|error| match error {
                rustls::Error::General(text) => text,
                other => format!("debug text: {other:?}"),
            })
    }

    #[test]
    fn a_self_signed_certificate_in_the_ca_file_is_trusted_for_its_name_and_time() {
        for is_ca in [false, true] {
            assert_eq!(judged(is_ca, "mail.lab", 2040, true), Ok(()), "{is_ca}");
            for (name, year, in_file, part) in [
                (
                    "other.lab",
                    2040,
                    true,
                    "it is not for the name `other.lab`",
                ),
                ("mail.lab", 2021, true, "it has expired"),
                (
                    "mail.lab",
                    2040,
                    false,
                    "it is self-signed, and it is not in the CA file",
                ),
            ] {
                let text = judged(is_ca, name, year, in_file).unwrap_err();
                assert!(text.contains(part), "{is_ca}: {text}");
                assert!(text.contains("valid until"), "{text}");
            }
        }
    }

    #[test]
    fn an_untrusted_self_signed_certificate_is_refused_with_the_option_that_trusts_it() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["mail.lab".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let name = ServerName::try_from("mail.lab").unwrap();
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let text = of_certificate(&unknown, certificate.der(), &name, false);
        assert!(
            text.contains("it is self-signed; to trust it") && text.contains("--ca-file"),
            "{text}"
        );
    }
}
