//! Another way to a server than its URL says, for a lab without DNS or behind a load balancer.

use serde::{Deserialize, Serialize};

/// What differs from the URL. The certificate is checked for the server name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Detour {
    /// Host and port of the TCP connection.
    pub connect_to: Option<(String, u16)>,
    /// Server name in the TLS handshake.
    pub sni: Option<String>,
    /// The Host header.
    pub host_header: Option<String>,
}
