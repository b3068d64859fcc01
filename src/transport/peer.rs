//! Who is at the other end of a connection, for people.

use std::fmt;
use std::net::SocketAddr;

use rustls::ClientConnection;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::text::clean;

/// The other end of an open connection, as far as its transport knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peer {
    /// Its address: the server's, or a proxy's.
    pub address: Option<SocketAddr>,
    /// The cipher suite that was agreed on, by its IANA name.
    pub cipher: Option<String>,
    /// The certificate that it showed, or had shown when the session began that was resumed.
    pub certificate: Option<ShownCertificate>,
}

impl Peer {
    /// Of that address, with what TLS knows of it.
    pub(super) fn of(address: Option<SocketAddr>, tls: Option<&ClientConnection>) -> Self {
        let suite = tls.and_then(|tls| tls.negotiated_cipher_suite());
        let chain = tls.and_then(|tls| tls.peer_certificates());
        Self {
            address,
            // rustls says TLS13 where the registry says TLS.
            cipher: suite
                .and_then(|suite| suite.suite().as_str())
                .map(|name| name.replacen("TLS13_", "TLS_", 1)),
            certificate: chain
                .and_then(<[_]>::first)
                .and_then(ShownCertificate::read),
        }
    }
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Names and addresses that it is for.
    pub names: Vec<String>,
    /// The last day on which it is valid, as `2026-12-31`.
    pub until: String,
}

impl ShownCertificate {
    /// Reads it; `None` if it is none.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        Some(Self {
            subject: clean(&parsed.subject().to_string()),
            issuer: clean(&parsed.issuer().to_string()),
            names: names(&parsed).iter().map(|name| clean(name)).collect(),
            until: parsed.validity().not_after.to_datetime().date().to_string(),
        })
    }
}

impl fmt::Display for ShownCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Certificates of hosting companies are for hundreds.
        const MOST: usize = 10;
        let Self {
            subject, issuer, ..
        } = self;
        write!(formatter, "subject {subject}, issuer {issuer}")?;
        if !self.names.is_empty() {
            let shown: Vec<&str> = self.names.iter().take(MOST).map(String::as_str).collect();
            let more = self.names.len() - shown.len();
            write!(formatter, ", for {}", shown.join(", "))?;
            if more > 0 {
                write!(formatter, " and {more} more")?;
            }
        }
        write!(formatter, ", valid until {}", self.until)
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
    four.or_else(|_| sixteen())
        .ok()
        .map(|address| address.to_string())
}
