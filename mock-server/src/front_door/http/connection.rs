//! One connection: requests in, each to the pool, answers out. While nothing arrives it holds no
//! buffer: bytes are read into the thread's own and copied.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, ready};
use std::time::Duration;

use mock_api::fault::{Fault, FaultKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::answer::AnswerFraming;
use super::message::{Chunks, Framing, Head, Refusal};
use super::{ANSWERED, ClientStream, answer, parse_head};
use crate::counted::Counted;
use crate::front_door::note::RequestNote;
use crate::front_door::server::Server;
use crate::front_door::was::Lost;
use crate::link::{App, WireAnswer, WireRequest};

/// Read at once.
const CHUNK: usize = 16 << 10;
/// What a client may send ahead while its request is open; more waits in the socket.
const MAX_AHEAD: usize = 64 << 10;
/// After a refusal what the client still sends is read so long, or its reset would destroy the
/// answer before it is read.
const LINGER: Duration = Duration::from_millis(500);
/// Pieces of a dripped answer.
const DRIP_BYTES: u64 = 1;
/// Between two pieces.
const DRIP_DELAY: Duration = Duration::from_millis(100);
/// What is left of a truncated answer: the head has begun, nothing is complete.
const TRUNCATE_BYTES: u64 = 64;
/// Bytes that are no HTTP.
const GARBAGE_BYTES: u64 = 512;
/// Faults that end an open request on the wire.
const CUTTING: [FaultKind; 3] = [FaultKind::Reset, FaultKind::Truncate, FaultKind::Garbage];
/// Faults of a gateway before the server.
const OF_GATEWAY: [FaultKind; 2] = [FaultKind::WebPage, FaultKind::IdleTimeout];
/// Faults on the way of an answer.
const ON_THE_WIRE: [FaultKind; 4] = [
    FaultKind::Reset,
    FaultKind::Truncate,
    FaultKind::Garbage,
    FaultKind::Drip,
];

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Who is on the other end.
pub(in crate::front_door) struct Client {
    pub(in crate::front_door) app: App,
    pub(in crate::front_door) peer: Option<SocketAddr>,
    pub(in crate::front_door) certificate_user: Option<String>,
}

struct Connection<S> {
    server: Arc<Server>,
    stream: S,
    client: Client,
    /// Bytes that were read and not used yet.
    ahead: Vec<u8>,
}

/// Why the connection ends.
enum End {
    /// Nothing more is to be said.
    Closed,
    /// A refusal is on its way.
    Refused,
}

/// Serves a connection until it ends.
pub(in crate::front_door) async fn serve<S: ClientStream>(
    server: Arc<Server>,
    stream: S,
    client: Client,
) {
    let _open = (client.app == App::FrontEnd).then(|| Counted::new(&server.open));
    let mut connection = Connection {
        server: Arc::clone(&server),
        stream,
        client,
        ahead: Vec::new(),
    };
    if matches!(connection.run().await, End::Refused) {
        connection.linger().await;
    }
}

/// Reads what is there; 0 at the end.
async fn read_some<S: ClientStream>(stream: &mut S, ahead: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut into = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut into))?;
            ahead.extend_from_slice(into.filled());
            Poll::Ready(Ok(into.filled().len()))
        })
    })
    .await
}

/// The client's end of an open request: returns when it is gone, and whether by a reset.
async fn gone<S: ClientStream>(stream: &mut S, ahead: &mut Vec<u8>) -> bool {
    loop {
        if ahead.len() > MAX_AHEAD {
            return std::future::pending().await;
        }
        match read_some(stream, ahead).await {
            // HTTP.sys takes a FIN for a disconnect.
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// The end of a gateway's patience, if it has one. Boxed, so that other requests do not keep the room.
async fn timed_out(limit: &mut Option<Pin<Box<Sleep>>>) {
    match limit {
        Some(limit) => limit.await,
        None => std::future::pending().await,
    }
}

impl<S: ClientStream> Connection<S> {
    async fn run(&mut self) -> End {
        loop {
            let head = match self.read_head().await {
                Ok(Some(head)) => head,
                Ok(None) => return End::Closed,
                Err(refusal) => return self.refuse(refusal).await,
            };
            let body = match self.read_body(&head).await {
                Ok(Some(body)) => body,
                Ok(None) => return End::Closed,
                Err(refusal) => return self.refuse(refusal).await,
            };
            let keep_alive = head.keep_alive;
            // Boxed, so that an idle connection does not keep the room that a request needs.
            match Box::pin(self.exchange(head, body)).await {
                Ok(true) if keep_alive => {}
                _ => return End::Closed,
            }
        }
    }

    fn idle_limit(&self) -> Duration {
        let config = &self.server.host.config;
        match self.client.app {
            App::FrontEnd => config.connection_timeout,
            App::BackEnd => config.back_end_idle_timeout,
        }
    }

    async fn read_head(&mut self) -> Result<Option<Head>, Refusal> {
        let end = Instant::now() + self.idle_limit();
        loop {
            if !self.ahead.is_empty()
                && let Some(head) = parse_head(&self.ahead)?
            {
                self.ahead.drain(..head.length);
                return Ok(Some(head));
            }
            let read = read_some(&mut self.stream, &mut self.ahead);
            match tokio::time::timeout_at(end, read).await {
                Ok(Ok(count)) if count > 0 => {}
                Err(_) => {
                    if self.client.app == App::FrontEnd {
                        self.server.records.idle_closed(self.client.peer);
                    }
                    return Ok(None);
                }
                _ => return Ok(None),
            }
        }
    }

    async fn read_body(&mut self, head: &Head) -> Result<Option<Vec<u8>>, Refusal> {
        if head.expects_continue
            && self
                .stream
                .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
                .await
                .is_err()
        {
            return Ok(None);
        }
        let end = Instant::now() + self.idle_limit();
        let mut chunks = Chunks::default();
        loop {
            let complete = match head.framing {
                Framing::Length(length) if self.ahead.len() as u64 >= length => {
                    let rest = self.ahead.split_off(length as usize);
                    Some(std::mem::replace(&mut self.ahead, rest))
                }
                Framing::Length(_) => None,
                Framing::Chunked if chunks.feed(&mut self.ahead)? => {
                    Some(std::mem::take(&mut chunks.body))
                }
                Framing::Chunked => None,
            };
            if complete.is_some() {
                // A held Ping keeps nothing of the bytes that brought it.
                self.ahead.shrink_to_fit();
                return Ok(complete);
            }
            let read = read_some(&mut self.stream, &mut self.ahead);
            match tokio::time::timeout_at(end, read).await {
                Ok(Ok(count)) if count > 0 => {}
                _ => return Ok(None),
            }
        }
    }

    /// One request and its answer; whether the connection can go on.
    async fn exchange(&mut self, head: Head, body: Vec<u8>) -> io::Result<bool> {
        let server = Arc::clone(&self.server);
        let app = self.client.app;
        let note = RequestNote::new(&head, self.client.peer);
        let framing = AnswerFraming {
            keep_alive: head.keep_alive,
            is_old: head.is_old,
            head_only: head.method == "HEAD",
        };
        let is_client = app == App::FrontEnd;
        let gateway = is_client
            .then(|| server.host.strike(&OF_GATEWAY, &note))
            .flatten();
        if let Some(fault) = gateway
            .as_ref()
            .filter(|one| one.fault == FaultKind::WebPage)
        {
            return self.strike(fault, answer::web_page()).await;
        }
        let mut limit = gateway
            .as_ref()
            .map(|fault| Box::pin(sleep(fault.delay.unwrap_or_default())));
        let request = wire_request(head, body, self.client.certificate_user.clone());
        let mut faults = server.host.faults_changed.watch();
        let began = server.host.faults.lock().change();
        let mut met = began;
        let was_reset = AtomicBool::new(false);
        let outcome = {
            let mut answered = pin!(server.answer(app, request, &note, &was_reset));
            loop {
                tokio::select! {
                    biased;
                    outcome = &mut answered => break Some(outcome),
                    reset = gone(&mut self.stream, &mut self.ahead) => {
                        was_reset.store(reset, Ordering::Relaxed);
                        break None;
                    }
                    () = timed_out(&mut limit) => break None,
                    () = faults.changed(), if is_client => {
                        let (fault, change) = server.host.strike_open(&CUTTING, &note, met);
                        if let Some(fault) = fault {
                            return self.strike(&fault, Vec::new()).await;
                        }
                        met = change;
                    }
                }
            }
        };
        match outcome {
            None => match gateway.filter(|_| limit.is_some_and(|limit| limit.is_elapsed())) {
                Some(fault) => {
                    let answer = fault.status.map(answer::of_gateway);
                    self.strike(&fault, answer.unwrap_or_default()).await
                }
                None => Ok(false),
            },
            Some(Ok(answer)) => self.send(answer, &note, framing, (began, met)).await,
            Some(Err(lost)) => {
                if app == App::FrontEnd {
                    server.records.lost(&note, lost);
                }
                match lost {
                    // `loadBalancerCapabilities` TcpLevel: the balancer in front sees a closed connection.
                    Lost::QueueFull | Lost::Offline if server.closes_when_full() => Ok(false),
                    Lost::QueueFull | Lost::Offline => {
                        self.stream.write_all(&answer::unavailable()).await?;
                        self.linger().await;
                        Ok(false)
                    }
                    // No answer: what a client sees when IIS ends a worker.
                    Lost::Cut => {
                        if app == App::FrontEnd {
                            server.cut.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(false)
                    }
                }
            }
        }
    }

    async fn send(
        &mut self,
        mut answer: WireAnswer,
        note: &RequestNote,
        mut framing: AnswerFraming,
        met: (u64, u64),
    ) -> io::Result<bool> {
        let is_client = self.client.app == App::FrontEnd;
        let server = Arc::clone(&self.server);
        let _answering = is_client.then(|| Counted::new(&server.answering));
        let chunked = is_client && self.server.host.config.chunked && !framing.is_old;
        if is_client {
            self.server.records.completed(note, &answer);
            let now = unix_micros().to_string();
            answer.headers.push(ANSWERED, &now);
        }
        framing.keep_alive &= !answer.closes;
        let bytes = answer::encode(&answer, framing, chunked);
        let host = &self.server.host;
        if is_client && let Some(fault) = host.strike_answer(&ON_THE_WIRE, &CUTTING, note, met) {
            let goes_on = self.strike(&fault, bytes).await?;
            return Ok(goes_on && framing.keep_alive);
        }
        self.stream.write_all(&bytes).await?;
        self.stream.flush().await?;
        Ok(framing.keep_alive)
    }

    /// A fault on the wire in place of these bytes.
    async fn strike(&mut self, fault: &Fault, bytes: Vec<u8>) -> io::Result<bool> {
        match fault.fault {
            FaultKind::Drip => {
                let size = fault.bytes.unwrap_or(DRIP_BYTES) as usize;
                for piece in bytes.chunks(size.max(1)) {
                    self.stream.write_all(piece).await?;
                    self.stream.flush().await?;
                    tokio::time::sleep(fault.delay.unwrap_or(DRIP_DELAY)).await;
                }
                return Ok(true);
            }
            FaultKind::Truncate => {
                let bytes = if bytes.is_empty() {
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec()
                } else {
                    bytes
                };
                let size = fault.bytes.unwrap_or(TRUNCATE_BYTES) as usize;
                self.stream
                    .write_all(&bytes[..size.min(bytes.len())])
                    .await?;
                self.stream.flush().await?;
            }
            FaultKind::Garbage => {
                let size = fault.bytes.unwrap_or(GARBAGE_BYTES);
                let garbage = self.server.host.random_bytes(size as usize);
                self.stream.write_all(&garbage).await?;
                self.stream.flush().await?;
            }
            FaultKind::WebPage | FaultKind::IdleTimeout if !bytes.is_empty() => {
                self.stream.write_all(&bytes).await?;
                self.stream.flush().await?;
            }
            _ => self.stream.reset_on_drop(),
        }
        Ok(false)
    }

    async fn refuse(&mut self, refusal: Refusal) -> End {
        if self.client.app == App::FrontEnd {
            self.server.records.refused(self.client.peer, refusal);
        }
        if self
            .stream
            .write_all(&answer::refused(refusal))
            .await
            .is_err()
        {
            return End::Closed;
        }
        End::Refused
    }

    /// Ends the writing side and reads what still comes.
    async fn linger(&mut self) {
        let _ = self.stream.shutdown().await;
        let mut sink = [0; 1024];
        let drained =
            async { while matches!(self.stream.read(&mut sink).await, Ok(count) if count > 0) {} };
        let _ = timeout(LINGER, drained).await;
    }
}

fn wire_request(head: Head, body: Vec<u8>, certificate_user: Option<String>) -> WireRequest {
    WireRequest {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        certificate_user,
    }
}

fn unix_micros() -> i64 {
    sim_net::wall_clock::now().as_microsecond()
}
