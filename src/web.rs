//! HTTP clients for what is not a device's.

use client::transport::client_config;
use scenario::TlsOptions;

/// A client for what is not a device's: sources of figures and web hooks, through no proxy. It trusts
/// the system's authorities; where there are none it does plain HTTP only.
pub(crate) fn web_client() -> reqwest::ClientBuilder {
    match client_config(&TlsOptions::default()) {
        Ok(config) => reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(config),
        Err(_) => mock_client::plain_http(),
    }
}
