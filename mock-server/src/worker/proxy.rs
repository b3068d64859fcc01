//! The front-end application: authenticates and forwards to the back end over an outgoing socket.
//!
//! How a Ping strands is this project's model; Microsoft names the symptom, not the mechanism. The
//! client abandons a held Ping, and with the fault's probability the proxy request is never
//! completed: it stays active, keeps its memory, and keeps its outgoing socket. When the back end
//! has answered and closes the idle connection, that socket is in CLOSE_WAIT for good.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::Ordering;

use eas::Command;
use eas::query::Query;
use mock_api::fault::{Fault, FaultKind, StrandTrigger};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::oneshot;

use super::back_end::answers;
use super::outgoing::Connection;
use super::{ClientEnd, Worker, identity};
use crate::counted::Counted;
use crate::fault::Subject;
use crate::headers::{HeaderLines, RequestHeader};
use crate::link::{RequestLog, ToFrontDoor, WireAnswer, WireRequest};
use crate::machine::Socket;

/// Largest answer of the back end: a full window of large mails stays far below.
const MAX_ANSWER: usize = 24 << 20;
/// Headers of an answer; the back end sends about ten.
const MAX_HEADERS: usize = 32;
/// Carries what the IIS log says of a request over the hop.
pub(super) const LOG: &str = "x-mock-log";
/// Read at once.
const CHUNK: usize = 16 << 10;

/// Serves one front-end request; `None` when its client has gone.
pub(super) async fn serve(
    worker: &Worker,
    id: u64,
    mut request: WireRequest,
    mut client_gone: oneshot::Receiver<ClientEnd>,
) -> Option<WireAnswer> {
    let user = identity::authenticate(&worker.config, &request);
    let Some(user) = user.filter(|user| worker.user(user).enabled) else {
        return Some(answers::unauthorized(worker, &request));
    };
    let _proxied = Counted::new(&worker.proxied);
    worker.proxied_ever.fetch_add(1, Ordering::Relaxed);
    // What the client calls itself counts for nothing.
    request
        .headers
        .retain(|(header, _)| *header != RequestHeader::Identity);
    request
        .headers
        .push((RequestHeader::Identity, user.clone()));
    let Ok(mut connection) = forward(worker, &request).await else {
        return Some(bad_gateway(worker));
    };
    // What comes now is waiting, and takes no thread.
    worker.send(ToFrontDoor::Async(id));
    let ping = held(&request, user);
    drop(request);
    if let Some(ping) = &ping
        && ping.strands(worker, |trigger| trigger == StrandTrigger::Random)
    {
        match strand(worker, connection).await {}
    }
    let mut failover = worker.failover.watch();
    loop {
        tokio::select! {
            biased;
            answer = read_answer(connection.stream()) => return Some(match answer {
                Ok(mut answer) => {
                    // One that the back end closes is of no use for another request.
                    if !answer.closes {
                        connection.reuse();
                    }
                    answers::front_end_headers(worker, true, &mut answer.headers);
                    answer
                }
                Err(_) => bad_gateway(worker),
            }),
            end = &mut client_gone => {
                let was_reset = end == Ok(ClientEnd::Reset);
                let applies = |trigger| match trigger {
                    StrandTrigger::Abandon => true,
                    StrandTrigger::NetworkCut => was_reset,
                    _ => false,
                };
                if ping.is_some_and(|ping| ping.strands(worker, applies)) {
                    match strand(worker, connection).await {}
                }
                return None;
            }
            () = failover.changed() => {
                let applies = |trigger| trigger == StrandTrigger::StoreFailover;
                if ping.as_ref().is_some_and(|ping| ping.strands(worker, applies)) {
                    match strand(worker, connection).await {}
                }
            }
        }
    }
}

/// Sends a request to the back end, over a connection that is kept or a new one.
async fn forward<'a>(worker: &'a Worker, request: &WireRequest) -> io::Result<Connection<'a>> {
    if let Some(mut kept) = worker.outgoing.kept()
        && write_request(kept.stream(), request).await.is_ok()
    {
        return Ok(kept);
    }
    let mut connection = worker.outgoing.connect().await?;
    write_request(connection.stream(), request).await?;
    Ok(connection)
}

/// A Ping that may strand.
struct Held {
    user: String,
    device: String,
}

impl Held {
    fn strands(&self, worker: &Worker, applies: impl Fn(StrandTrigger) -> bool) -> bool {
        if worker.config.fixed {
            return false;
        }
        let subject = Subject {
            user: &self.user,
            device: &self.device,
            command: Command::Ping.as_str(),
        };
        let wanted = |fault: &Fault, _| {
            fault.fault == FaultKind::Strand
                && applies(fault.trigger.unwrap_or(StrandTrigger::Abandon))
        };
        let chance = |probability| worker.chance(probability);
        worker
            .faults
            .lock()
            .strike_if(wanted, subject, chance)
            .is_some()
    }
}

/// Never returns: only the end of the process releases what a stranded request holds.
async fn strand(worker: &Worker, connection: Connection<'_>) -> Infallible {
    let bytes = worker.config.heap.per_stranded;
    let memory = worker.machine.occupy(bytes);
    worker.heap.retain(bytes);
    worker.stranded.fetch_add(1, Ordering::Relaxed);
    let never = std::future::pending().await;
    drop((connection, memory));
    never
}

fn held(request: &WireRequest, user: String) -> Option<Held> {
    let (_, query) = request.uri.split_once('?')?;
    let query = Query::parse(query).ok()?;
    (query.command == Command::Ping).then_some(Held {
        user,
        device: query.device_id,
    })
}

fn bad_gateway(worker: &Worker) -> WireAnswer {
    // Which status Exchange sends when its back end cannot be reached is not known
    // (mock-fidelity T12); MS-ASHTTP names 502 for a proxy without target.
    answers::bad_gateway(worker)
}

async fn write_request(stream: &mut Socket, request: &WireRequest) -> io::Result<()> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: backend\r\n",
        request.method, request.uri
    );
    let others = request.headers.iter();
    for (header, value) in others.filter(|(header, _)| *header != RequestHeader::Host) {
        for part in [header.as_str(), ": ", value, "\r\n"] {
            head.push_str(part);
        }
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", request.body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&request.body);
    stream.write_all(&bytes).await
}

/// Waits without a buffer, so that a held Ping costs the worker little more than its socket.
async fn read_answer(stream: &mut Socket) -> io::Result<WireAnswer> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_into(&mut bytes, CHUNK).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if bytes.len() > MAX_ANSWER {
            return Err(io::Error::other("the back end's answer is too large"));
        }
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<WireAnswer>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = answer.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let (mut length, mut closes, mut log) = (None, false, RequestLog::default());
    let mut headers = HeaderLines::default();
    for header in answer.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            length = value.parse::<usize>().ok();
        } else if is("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if is(LOG) {
            log = serde_json::from_str(&value).unwrap_or_default();
        } else if !is("date") {
            headers.push(header.name, &value);
        }
    }
    let length = length.ok_or_else(|| io::Error::other("the back end's answer has no length"))?;
    let Some(body) = bytes.get(head..head.saturating_add(length)) else {
        return Ok(None);
    };
    Ok(Some(WireAnswer {
        status: answer.code.unwrap_or(502),
        headers,
        body: body.to_vec(),
        closes,
        log,
    }))
}
