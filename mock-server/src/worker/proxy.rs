//! The front-end application: authenticates and forwards to the back end over an outgoing socket.
//!
//! How a Ping strands is this project's model; Microsoft names the symptom, not the mechanism. The
//! client abandons a held Ping, and with the fault's probability the proxy request is never
//! completed: it stays active, keeps its memory, and keeps its outgoing socket. When the back end
//! has answered and closes the idle connection, that socket is in CLOSE_WAIT for good.

use std::io;
use std::sync::atomic::Ordering;

use eas::Command;
use eas::query::Query;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::outgoing::Connection;
use super::{Worker, back_end, lock};
use crate::link::{WireAnswer, WireRequest};

/// Largest answer of the back end: a full window of large mails stays far below.
const MAX_ANSWER: usize = 24 << 20;
/// Headers of an answer; the back end sends about ten.
const MAX_HEADERS: usize = 32;
/// Read at once.
const CHUNK: usize = 16 << 10;

/// Serves one front-end request; `None` when its client has gone.
pub(super) async fn serve(
    worker: &Worker,
    request: WireRequest,
    mut client_gone: oneshot::Receiver<()>,
) -> Option<WireAnswer> {
    if back_end::user(worker, &request).is_none() {
        return Some(back_end::unauthorized(worker));
    }
    let _proxied = Counted::new(&worker.proxied);
    let Ok(mut connection) = worker.outgoing.connect().await else {
        return Some(bad_gateway(worker));
    };
    if write_request(connection.stream(), &request).await.is_err() {
        return Some(bad_gateway(worker));
    }
    let is_ping = is_ping(&request);
    drop(request);
    tokio::select! {
        answer = read_answer(connection.stream()) => match answer {
            Ok(mut answer) => {
                connection.reuse();
                answer.headers.extend(back_end::front_end_headers(worker));
                Some(answer)
            }
            Err(_) => Some(bad_gateway(worker)),
        },
        _ = &mut client_gone => {
            let probability = lock(&worker.faults).strand;
            if is_ping && worker.chance(probability) {
                strand(worker, connection).await;
            }
            None
        }
    }
}

/// Never returns: only the end of the process releases what a stranded request holds.
async fn strand(worker: &Worker, connection: Connection<'_>) {
    let bytes = worker.config.heap.per_stranded;
    // Filled with something, so that the pages are really there.
    let memory = vec![0xA5_u8; usize::try_from(bytes).unwrap_or(usize::MAX)];
    worker.heap.retain(bytes);
    worker.stranded.fetch_add(1, Ordering::Relaxed);
    std::future::pending::<()>().await;
    drop((connection, memory));
}

fn is_ping(request: &WireRequest) -> bool {
    request
        .uri
        .split_once('?')
        .and_then(|(_, query)| Query::parse(query).ok())
        .is_some_and(|query| query.command == Command::Ping)
}

fn bad_gateway(worker: &Worker) -> WireAnswer {
    // Which status Exchange sends when its back end cannot be reached is not known
    // (mock-fidelity T12); MS-ASHTTP names 502 for a proxy without target.
    back_end::plain(worker, 502)
}

async fn write_request(stream: &mut TcpStream, request: &WireRequest) -> io::Result<()> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: backend\r\n",
        request.method, request.uri
    );
    for (name, value) in &request.headers {
        if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", request.body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    stream.write_all(&bytes).await
}

/// Waits without a buffer, so that a held Ping costs the worker little more than its socket.
async fn read_answer(stream: &mut TcpStream) -> io::Result<WireAnswer> {
    stream.readable().await?;
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.len() > MAX_ANSWER {
            return Err(io::Error::other("the back end's answer is too large"));
        }
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        bytes.reserve(CHUNK);
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<WireAnswer>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let value = |header: &httparse::Header<'_>| String::from_utf8_lossy(header.value).into_owned();
    let length: usize = answer
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .and_then(|header| value(header).parse().ok())
        .ok_or_else(|| io::Error::other("the back end's answer has no length"))?;
    let Some(body) = bytes.get(head..head.saturating_add(length)) else {
        return Ok(None);
    };
    let hop = ["content-length", "date", "connection"];
    let headers = answer
        .headers
        .iter()
        .filter(|header| !hop.contains(&header.name.to_ascii_lowercase().as_str()))
        .map(|header| (header.name.to_owned(), value(header)))
        .collect();
    Ok(Some(WireAnswer {
        status: answer.code.unwrap_or(502),
        headers,
        body: body.to_vec(),
    }))
}

/// One more while it lives.
struct Counted<'a>(&'a std::sync::atomic::AtomicU64);

impl<'a> Counted<'a> {
    fn new(count: &'a std::sync::atomic::AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
