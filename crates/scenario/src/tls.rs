//! How TLS is to be spoken.

use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version of TLS. Those before 1.2 are spoken by no kept library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246), the highest of Windows Server up to 2019.
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3 (RFC 8446), from Windows Server 2022 on.
    #[serde(rename = "1.3")]
    Tls13,
}

impl TlsVersion {
    /// All of them, with their names in scenarios.
    pub const ALL: [(&'static str, Self); 2] = [("1.2", Self::Tls12), ("1.3", Self::Tls13)];
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tls12 => "1.2",
            Self::Tls13 => "1.3",
        })
    }
}

/// How TLS is spoken, and a server's certificate judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// Trust the authorities in this PEM file instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Trust anybody. Only when the user asks.
    pub insecure: bool,
    /// The versions that are offered; all where there are none.
    pub versions: Vec<TlsVersion>,
    /// No session is resumed: every handshake is a full one.
    pub full_handshakes: bool,
}

/// Where a certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key; may be the same file.
    pub key: PathBuf,
}
