//! What else the host serves: Autodiscover, and the pages that suffer when the host's ports run
//! out (mock-fidelity S8, T13).

use std::sync::Arc;

use super::autodiscover;
use super::server::Server;
use crate::headers::HeaderLines;
use crate::link::{WireAnswer, WireRequest};
use crate::worker::{IIS, bare, outgoing::probe, server_name};

/// An answer, if the request is for one of these sites.
pub(super) async fn answer(server: &Arc<Server>, request: &WireRequest) -> Option<WireAnswer> {
    let path = request.uri.split('?').next()?;
    // Nearly every request is for the pool.
    if path.eq_ignore_ascii_case(eas::http::PATH) {
        return None;
    }
    let path = path.to_ascii_lowercase();
    if path == "/autodiscover/autodiscover.xml" {
        return Some(autodiscover::answer(server, request));
    }
    if path == "/owa" || path.starts_with("/owa/") || path.ends_with("/healthcheck.htm") {
        return Some(page(server).await);
    }
    None
}

/// A page of Outlook on the web, or a health page. Its front end needs an outgoing socket too, out
/// of the same range: that is how one pool's leak becomes everybody's trouble.
async fn page(server: &Arc<Server>) -> WireAnswer {
    let config = &server.host.config;
    let range = config.ephemeral_ports.clone();
    match probe(
        &server.host.machine,
        server.back_end,
        range,
        config.port_wait,
    )
    .await
    {
        Ok(()) => {
            let text = format!("200 OK<br/>{}\r\n", server_name(server.number));
            plain(server, 200, "text/html", text.into_bytes())
        }
        Err(_) => plain(server, 502, "text/html", Vec::new()),
    }
}

/// What every front end of Exchange puts on its answers.
pub(super) fn front_end_headers(server: &Server, headers: &mut HeaderLines) {
    headers.push("X-FEServer", &server_name(server.number));
    headers.push("request-id", &server.host.request_id());
}

pub(super) fn plain(server: &Server, status: u16, content_type: &str, body: Vec<u8>) -> WireAnswer {
    let mut headers = HeaderLines::default().with("Server", IIS);
    if !body.is_empty() {
        headers.push("Content-Type", content_type);
    }
    front_end_headers(server, &mut headers);
    WireAnswer {
        body,
        ..bare(status, headers)
    }
}
