//! Errors of TLS in words. rustls shows most of its errors as the names of its variants.

use std::error::Error;
use std::io;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};
use text::clean;

use super::peer::ShownCertificate;

/// Why a handshake, or a connection after it, failed.
pub(super) fn describe(error: &io::Error) -> String {
    if let Some(tls) = of_tls(error) {
        return words(tls);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the server closed the connection inside the handshake; is it a plain HTTP port?"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

/// The innermost cause of an error. The outer ones repeat the URL.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let last = causes(error).last().unwrap_or(error);
    last.downcast_ref::<rustls::Error>()
        .map_or_else(|| last.to_string(), words)
}

/// An error and its causes, the outermost first. An `io::Error` hides the error inside it from `source`.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        let io = cause.downcast_ref::<io::Error>();
        next = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => cause.source(),
        };
        Some(cause)
    })
}

/// The error of rustls inside an `io::Error`.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn words(error: &rustls::Error) -> String {
    const VERSIONS: &str = "the server speaks none of the versions of TLS that are offered";
    match error {
        // The words of the verifier in `tls`.
        rustls::Error::General(text) => text.clone(),
        rustls::Error::AlertReceived(alert) => of_alert(*alert),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic,
        ) => VERSIONS.to_owned(),
        rustls::Error::PeerIncompatible(what) => {
            format!("the server lacks something that TLS needs here ({what:?})")
        }
        rustls::Error::PeerMisbehaved(what) => {
            format!("the server breaks the rules of TLS ({what:?})")
        }
        rustls::Error::DecryptError => "a message of the server cannot be decrypted".to_owned(),
        other => other.to_string(),
    }
}

fn of_alert(alert: AlertDescription) -> String {
    let meaning = match alert {
        AlertDescription::ProtocolVersion => {
            "the server speaks none of the versions of TLS that are offered"
        }
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "the server accepts none of the offered cipher suites, or demands something else"
        }
        AlertDescription::UnrecognisedName => {
            "the server does not know the host name that it was asked for"
        }
        AlertDescription::CertificateRequired => {
            "the server demands a client certificate (certificate_dir or a users file names them)"
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "the server refuses the client certificate",
        AlertDescription::NoApplicationProtocol => {
            "the server speaks none of the offered versions of HTTP"
        }
        _ => "the server ended TLS",
    };
    format!("{meaning} (TLS alert {alert:?})")
}

/// Why a server's certificate is not trusted, and what to do about it.
pub(super) fn of_certificate(
    error: &rustls::Error,
    certificate: &CertificateDer<'_>,
    name: &ServerName<'_>,
    has_ca_file: bool,
) -> String {
    let shown = ShownCertificate::read(certificate);
    let is_self_signed = shown
        .as_ref()
        .is_some_and(|shown| shown.subject == shown.issuer);
    let host = name.to_str();
    let problem = match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "it has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "it is not valid yet; is the clock of this machine right?".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("it is not for the name `{host}`")
            }
            _ if is_self_signed && has_ca_file => {
                "it is self-signed, and it is not in the CA file".to_owned()
            }
            _ if is_self_signed => {
                "it is self-signed; to trust it, save it in a PEM file and name \
                that file with ca_file (--ca-file)"
                    .to_owned()
            }
            CertificateError::UnknownIssuer if has_ca_file => {
                "no authority in the CA file has signed it".to_owned()
            }
            CertificateError::UnknownIssuer => {
                "no authority that this system trusts has signed it; a \
                lab's own authority is named with ca_file (--ca-file)"
                    .to_owned()
            }
            CertificateError::BadSignature => "its signature is wrong".to_owned(),
            CertificateError::BadEncoding => "it cannot be read".to_owned(),
            CertificateError::Revoked => "it is revoked".to_owned(),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "it is not for servers".to_owned()
            }
            CertificateError::Other(_) if is_authority(certificate) => {
                "it is the certificate of an authority, not of a server".to_owned()
            }
            other => format!("it breaks a rule ({other:?})"),
        },
        other => words(other),
    };
    let shown = shown.map_or_else(|| "unreadable".to_owned(), |shown| shown.to_string());
    format!(
        "the certificate shown for `{host}` is not trusted: {} ({shown})",
        clean(&problem)
    )
}

fn is_authority(certificate: &[u8]) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| parsed.is_ca())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_tls_are_sentences() {
        let said = |error: rustls::Error| describe(&io::Error::other(error));
        assert_eq!(
            said(rustls::Error::AlertReceived(AlertDescription::UnknownCA)),
            "the server refuses the client certificate (TLS alert UnknownCA)"
        );
        assert!(
            said(rustls::Error::AlertReceived(
                AlertDescription::ProtocolVersion
            ))
            .starts_with("the server speaks none of the versions of TLS")
        );
        assert_eq!(
            said(rustls::Error::General("as it is".to_owned())),
            "as it is"
        );
        assert_eq!(
            said(rustls::InvalidMessage::InvalidContentType.into()),
            "the server does not speak TLS on this port"
        );
        let outer = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert_eq!(
            innermost(&outer),
            "a message of the server cannot be decrypted"
        );
        // What is not of TLS stays as it is.
        assert_eq!(describe(&io::Error::other("other")), "other");
    }
}
