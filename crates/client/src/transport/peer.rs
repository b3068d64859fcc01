//! Who is at the other end of a connection, for people.

use std::fmt;
use std::net::SocketAddr;

use rustls::ClientConnection;
use text::clean;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

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
                .and_then(|certificate| ShownCertificate::read(certificate)),
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
    pub(super) fn read(certificate: &[u8]) -> Option<Self> {
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_certificate_is_told_whatever_is_in_it() {
        let mut params = CertificateParams::new(
            (0..12)
                .map(|number| format!("mail{number}.lab"))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "mail\n\u{1b}[2J.lab");
        params
            .subject_alt_names
            .insert(0, SanType::IpAddress("2001:db8::7".parse().unwrap()));
        params.not_after = rcgen::date_time_ymd(2027, 3, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let shown = ShownCertificate::read(certificate.der()).unwrap();
        assert_eq!(shown.until, "2027-03-31");
        assert_eq!(shown.names.len(), 13);
        let text = shown.to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        for part in [
            "CN=mail\u{fffd}\u{fffd}[2J.lab",
            "for 2001:db8::7, mail0.lab",
            "mail8.lab and 3 more, valid until 2027-03-31",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let none = CertificateParams::new(Vec::<String>::new()).unwrap();
        let none = none.self_signed(&key).unwrap();
        let none = ShownCertificate::read(none.der()).unwrap();
        assert!(!none.to_string().contains(", for "), "{none}");
        assert_eq!(ShownCertificate::read(b"no"), None);
        assert_eq!(address(&[1, 2, 3]), None);
    }
}
