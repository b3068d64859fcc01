//! What every front end of Exchange puts on its answers.

use super::server::Server;
use crate::headers::HeaderLines;
use crate::link::WireAnswer;
use crate::worker::{IIS, bare, server_name};

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
