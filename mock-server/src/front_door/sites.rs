//! Who answers a request: the pool, or another site of the server. Those are Autodiscover, and the pages that suffer
//! when the host's ports run out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mock_api::config::Topology;
use mock_api::fault::FaultKind;

use super::autodiscover;
use super::front_end::plain;
use super::note::RequestNote;
use super::server::Server;
use super::was::{self, Lost};
use crate::link::{App, WireAnswer, WireRequest};
use crate::worker::{outgoing::probe, server_name};

impl Server {
    /// The answer to a request: of an application in the pool, or of this server's other sites.
    pub(super) async fn answer(
        self: &Arc<Self>,
        app: App,
        request: WireRequest,
        note: &RequestNote,
        was_reset: &AtomicBool,
    ) -> Result<WireAnswer, Lost> {
        if app == App::FrontEnd {
            if let Some(answer) = of_site(self, &request).await {
                return Ok(answer);
            }
            if self.host.strike(&[FaultKind::QueueFull], note).is_some() {
                self.pool.counters.rejected.fetch_add(1, Ordering::Relaxed);
                return Err(Lost::QueueFull);
            }
        }
        let target = match (app, self.host.config.topology) {
            // The back end is the other server's.
            (App::BackEnd, Topology::TwoServers) => self.host.servers().pop(),
            _ => None,
        };
        let target = target.as_ref().unwrap_or(self);
        was::dispatch(target, app, request, note, was_reset).await
    }
}

/// An answer, if the request is for one of these sites.
async fn of_site(server: &Arc<Server>, request: &WireRequest) -> Option<WireAnswer> {
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
