//! What else the host serves: Autodiscover, and the pages that suffer when the host's ports run
//! out (mock-fidelity S8, T13).

use std::sync::Arc;

use super::server::Server;
use crate::link::{RequestLog, WireAnswer, WireRequest};
use crate::worker::{authenticate, outgoing::probe};

/// An answer, if the request is for one of these sites.
pub(super) async fn answer(server: &Arc<Server>, request: &WireRequest) -> Option<WireAnswer> {
    let path = request.uri.split('?').next()?.to_ascii_lowercase();
    if path == "/autodiscover/autodiscover.xml" {
        return Some(autodiscover(server, request));
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
    match probe(server.back_end, range, config.port_wait).await {
        Ok(()) => plain(200, "text/html", b"200 OK<br/>MOCK01\r\n".to_vec()),
        Err(_) => plain(502, "text/html", Vec::new()),
    }
}

/// POX Autodiscover (ASCMD 2.2.1.1): always XML, never WBXML.
fn autodiscover(server: &Server, request: &WireRequest) -> WireAnswer {
    let config = &server.host.config;
    let Some(user) = authenticate(config, request) else {
        let mut answer = plain(401, "", Vec::new());
        let realm = request.header("host").unwrap_or("mock");
        answer.headers.push((
            "WWW-Authenticate".to_owned(),
            format!("Basic realm=\"{realm}\""),
        ));
        return answer;
    };
    // The texts come from the client.
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let url = super::url(config, server.records.address());
    let asked = String::from_utf8_lossy(&request.body);
    let address = asked
        .split_once("<EMailAddress>")
        .and_then(|(_, rest)| rest.split_once("</EMailAddress>"))
        .map(|(address, _)| address.trim());
    let address = escape(address.unwrap_or_default());
    let user = escape(&user);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n\
         <Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">\
         <Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006\">\
         <Culture>en:us</Culture>\
         <User><DisplayName>{user}</DisplayName><EMailAddress>{address}</EMailAddress></User>\
         <Action><Settings><Server><Type>MobileSync</Type><Url>{url}</Url><Name>{url}</Name></Server>\
         </Settings></Action></Response></Autodiscover>"
    );
    plain(200, "text/xml; charset=utf-8", body.into_bytes())
}

fn plain(status: u16, content_type: &str, body: Vec<u8>) -> WireAnswer {
    let mut headers = vec![("Server".to_owned(), "Microsoft-IIS/10.0".to_owned())];
    if !body.is_empty() {
        headers.push(("Content-Type".to_owned(), content_type.to_owned()));
    }
    WireAnswer {
        status,
        headers,
        body,
        log: RequestLog::default(),
    }
}
