//! Answers and the headers that both applications put on them (mock-fidelity section 2).

use std::cell::RefCell;

use eas::http;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use mock_api::config::MockConfig;

use crate::headers::{HeaderLines, RequestHeader};
use crate::link::{RequestLog, WireAnswer, WireRequest};
use crate::worker::Worker;

/// The server's short version (`FullServerVersion=false`).
const SERVER_VERSION: &str = "15.1";
/// `Server` of every application.
pub(crate) const IIS: &str = "Microsoft-IIS/10.0";

/// What names a server in its answers.
#[derive(Debug)]
pub(in crate::worker) struct Names {
    /// What every answer of the back end begins with.
    back_end: HeaderLines,
    /// The front end's NetBIOS name.
    front_end: String,
    /// The back end that it forwards to, as X-CalculatedBETarget writes it.
    target: String,
}

/// NetBIOS name of a server of the mock, as it is in capitals on Exchange.
pub(crate) fn server_name(number: usize) -> String {
    format!("MOCK{number:02}")
}

impl Names {
    /// Of a worker on that server, whose front end forwards to server `target`.
    pub(in crate::worker) fn new(server: usize, target: usize, generation: u64) -> Self {
        let name = server_name(server);
        let cookie = format!(
            // Path and spelling are assumed.
            "X-BackEndCookie={name}; path=/Microsoft-Server-ActiveSync; secure; HttpOnly"
        );
        let back_end = HeaderLines::default()
            .with("Cache-Control", "private")
            .with("Server", IIS)
            .with(http::SERVER_VERSION, SERVER_VERSION)
            .with("X-AspNet-Version", "4.0.30319")
            .with("X-Powered-By", "ASP.NET")
            .with("X-BEServer", &name)
            .with("X-DiagInfo", &name)
            .with("Set-Cookie", &cookie)
            // Not a header of Exchange: tells a test which worker answered.
            .with("X-Mock-Worker", &generation.to_string());
        let target = format!("{}.lab.example", server_name(target).to_ascii_lowercase());
        Self {
            back_end,
            front_end: name,
            target,
        }
    }
}

/// Nothing but a status and headers.
pub(crate) fn bare(status: u16, headers: HeaderLines) -> WireAnswer {
    WireAnswer {
        status,
        headers,
        body: Vec::new(),
        closes: false,
        log: RequestLog::default(),
    }
}

/// What a 401 asks for.
pub(crate) fn challenges(config: &MockConfig, request: &WireRequest) -> HeaderLines {
    // Assumed: the realm is what the client called the host.
    let realm = request.header(RequestHeader::Host).unwrap_or("mock");
    let realm: String = realm.chars().filter(|letter| *letter != '"').collect();
    let lines = HeaderLines::default()
        .with("Server", IIS)
        .with("WWW-Authenticate", &format!("Basic realm=\"{realm}\""));
    if config.bearer_token.is_some() {
        return lines.with("WWW-Authenticate", "Bearer");
    }
    lines
}

/// No MS-* headers: the front end refuses before the back end sees the request.
pub(in crate::worker) fn unauthorized(worker: &Worker, request: &WireRequest) -> WireAnswer {
    let mut headers = challenges(&worker.config, request);
    front_end_headers(worker, false, &mut headers);
    bare(401, headers)
}

/// The front end reached no back end.
pub(in crate::worker) fn bad_gateway(worker: &Worker) -> WireAnswer {
    let mut headers = HeaderLines::default().with("Server", IIS);
    front_end_headers(worker, false, &mut headers);
    bare(502, headers)
}

/// An answer that is only an HTTP status.
pub(in crate::worker) fn plain(worker: &Worker, status: u16) -> WireAnswer {
    bare(status, worker.names.back_end.clone())
}

pub(super) fn empty(worker: &Worker) -> WireAnswer {
    plain(worker, 200)
}

pub(super) fn wbxml(worker: &Worker, body: Vec<u8>) -> WireAnswer {
    let mut answer = empty(worker);
    if !body.is_empty() {
        answer.headers.push("Content-Type", http::WBXML);
    }
    answer.body = body;
    answer
}

/// ItemOperations in several parts (ASCMD 2.2.1.10.1).
pub(super) fn multipart(worker: &Worker, body: Vec<u8>) -> WireAnswer {
    let mut answer = empty(worker);
    answer.headers.push("Content-Type", http::MULTIPART);
    answer.body = body;
    answer
}

/// What the front end adds; the back end's name only if there was one to forward to.
pub(in crate::worker) fn front_end_headers(
    worker: &Worker,
    was_forwarded: bool,
    headers: &mut HeaderLines,
) {
    headers.push("X-FEServer", &worker.names.front_end);
    headers.push("request-id", &worker.request_id());
    if was_forwarded {
        headers.push("X-CalculatedBETarget", &worker.names.target);
    }
}

/// Below this a compressed body is longer than the plain one. Where Exchange draws the line is not
/// known.
const MIN_GZIP: usize = 128;

/// Compresses the body for a client that asks for it.
pub(super) fn compress(answer: &mut WireAnswer, request: &WireRequest) {
    let accepts = request
        .header(RequestHeader::AcceptEncoding)
        .is_some_and(|list| list.split(',').any(is_gzip));
    if !accepts || answer.body.len() < MIN_GZIP {
        return;
    }
    // Compressing in memory cannot fail; if it did, the plain body would do.
    if let Some(body) = gzip(&answer.body) {
        answer.body = body;
        answer.headers.push("Content-Encoding", "gzip");
    }
}

/// Whether one entry of Accept-Encoding allows gzip; a weight of zero forbids it.
fn is_gzip(entry: &str) -> bool {
    let mut parts = entry.split(';').map(str::trim);
    let is_named = parts
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    let is_zero = |part: &str| {
        part.strip_prefix("q=")
            .and_then(|weight| weight.parse().ok())
            .is_some_and(|weight: f32| weight == 0.0)
    };
    is_named && !parts.any(is_zero)
}

thread_local! {
    /// A compressor's tables are some 300 kB, far more than any answer: made once, not per answer.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// The body as one gzip member (RFC 1952) without name or time.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
    /// What deflate adds at most to a short body, with the trailer.
    const ROOM: usize = 64;
    let mut out = Vec::with_capacity(HEADER.len() + body.len() + ROOM);
    out.extend_from_slice(&HEADER);
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        loop {
            let used = usize::try_from(deflate.total_in()).ok()?;
            let status = deflate.compress_vec(&body[used..], &mut out, FlushCompress::Finish);
            match status.ok()? {
                Status::StreamEnd => return Some(()),
                _ => out.reserve(body.len() + ROOM),
            }
        }
    })?;
    let mut crc = Crc::new();
    crc.update(body);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    #[test]
    fn compressed_bodies_come_out_whole() {
        let noise: Vec<u8> = (0..100_000_u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        for body in [&b"x"[..], &[7; 70_000], &noise] {
            for _ in 0..2 {
                let packed = super::gzip(body).unwrap();
                let mut whole = Vec::new();
                let mut reader = flate2::read::GzDecoder::new(packed.as_slice());
                reader.read_to_end(&mut whole).unwrap();
                assert_eq!(whole, body);
            }
        }
    }
}
