//! Answers and the headers that both applications put on them (mock-fidelity section 2).

use eas::http;

use crate::link::{RequestLog, WireAnswer, WireRequest};
use crate::worker::Worker;

/// The server's short version (`FullServerVersion=false`).
const SERVER_VERSION: &str = "15.1";
const SERVER_NAME: &str = "MOCK01";
/// The back end's name as X-CalculatedBETarget writes it.
const BACK_END_NAME: &str = "mock01.lab.example";

pub(in crate::worker) fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// No MS-* headers: the front end refuses before the back end sees the request.
pub(in crate::worker) fn unauthorized(worker: &Worker, request: &WireRequest) -> WireAnswer {
    // Assumed: the realm is what the client called the host.
    let realm = request.header("host").unwrap_or("mock");
    let realm: String = realm.chars().filter(|letter| *letter != '"').collect();
    let mut headers = vec![
        header("Server", "Microsoft-IIS/10.0"),
        header("WWW-Authenticate", format!("Basic realm=\"{realm}\"")),
    ];
    if worker.config.bearer_token.is_some() {
        headers.push(header("WWW-Authenticate", "Bearer"));
    }
    headers.extend(front_end_headers(worker, false));
    WireAnswer {
        status: 401,
        headers,
        body: Vec::new(),
        log: RequestLog::default(),
    }
}

/// The front end reached no back end.
pub(in crate::worker) fn bad_gateway(worker: &Worker) -> WireAnswer {
    let mut headers = vec![header("Server", "Microsoft-IIS/10.0")];
    headers.extend(front_end_headers(worker, false));
    WireAnswer {
        status: 502,
        headers,
        body: Vec::new(),
        log: RequestLog::default(),
    }
}

/// An answer that is only an HTTP status.
pub(super) fn plain(worker: &Worker, status: u16) -> WireAnswer {
    WireAnswer {
        status,
        ..empty(worker)
    }
}

pub(super) fn empty(worker: &Worker) -> WireAnswer {
    let headers = [
        ("Cache-Control", "private"),
        ("Server", "Microsoft-IIS/10.0"),
        (http::SERVER_VERSION, SERVER_VERSION),
        ("X-AspNet-Version", "4.0.30319"),
        ("X-Powered-By", "ASP.NET"),
        ("X-BEServer", SERVER_NAME),
        ("X-DiagInfo", SERVER_NAME),
        // Path and spelling are assumed.
        (
            "Set-Cookie",
            "X-BackEndCookie=MOCK01; path=/Microsoft-Server-ActiveSync; secure; HttpOnly",
        ),
    ];
    let mut headers: Vec<_> = headers.map(|(name, value)| header(name, value)).to_vec();
    // Not a header of Exchange: tells a test which worker answered.
    headers.push(header("X-Mock-Worker", worker.generation.to_string()));
    WireAnswer {
        status: 200,
        headers,
        body: Vec::new(),
        log: RequestLog::default(),
    }
}

pub(super) fn wbxml(worker: &Worker, body: Vec<u8>) -> WireAnswer {
    let mut answer = empty(worker);
    if !body.is_empty() {
        answer.headers.push(header("Content-Type", http::WBXML));
    }
    answer.body = body;
    answer
}

/// What the front end adds; the back end's name only if there was one to forward to.
pub(in crate::worker) fn front_end_headers(
    worker: &Worker,
    was_forwarded: bool,
) -> Vec<(String, String)> {
    let mut headers = vec![
        header("X-FEServer", SERVER_NAME),
        header("request-id", worker.request_id()),
    ];
    if was_forwarded {
        headers.push(header("X-CalculatedBETarget", BACK_END_NAME));
    }
    headers
}

/// Compresses the body for a client that asks for it.
pub(super) fn compress(answer: &mut WireAnswer, request: &WireRequest) {
    use std::io::Write as _;
    let accepts = request.header("accept-encoding").is_some_and(|list| {
        list.split(',')
            .any(|coding| coding.split(';').next().map(str::trim) == Some("gzip"))
    });
    if !accepts || answer.body.is_empty() {
        return;
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Writing to memory cannot fail; if it did, the plain body would do.
    if encoder.write_all(&answer.body).is_ok()
        && let Ok(body) = encoder.finish()
    {
        answer.body = body;
        answer.headers.push(header("Content-Encoding", "gzip"));
    }
}
