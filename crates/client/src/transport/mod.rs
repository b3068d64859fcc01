//! One device's requests over one connection, and an honest account of each: which local port,
//! new or reused, how long every stage took, and how the connection ended.
//!
//! A request is made in two steps, [`Transport::begin`] and [`Transport::answer`], so that a
//! device holds no request while it waits an hour for the answer. Nothing in here knows what the
//! requests mean.

mod advice;
mod answer;
mod certificate;
mod connect;
mod deal;
mod ends;
mod lean;
mod link;
mod net_stream;
mod peer;
mod pooled;
mod ports;
mod reading;
mod redirect;
mod sessions;
mod simulated;
mod sources;
mod stream;
mod tls;
mod tls_words;
mod uses;
mod writing;

use std::future::Future;
use std::time::Duration;

use scenario::Target;
use tokio::time::Instant;

pub use advice::{advice, silence};
pub use answer::{Answer, Limits};
pub use certificate::check_certificate;
pub use connect::{CONNECT_TIMEOUT, Connect, ConnectError, Connected, Network};
pub use deal::Deal;
pub use ends::Ends;
pub use lean::{Lean, LeanFactory, Silenced};
pub use link::{Link, LinkSpeed};
pub use net_stream::NetStream;
pub use peer::{Peer, ShownCertificate};
pub use pooled::{Carrier, Proxy, ProxyLogin, Reqwest, ReqwestFactory};
pub use ports::local_ports;
pub use redirect::{RedirectError, Redirects, names_host};
pub use sessions::OwnTls;
pub use simulated::{SimulatedNetwork, SimulatedStream};
pub use sources::{SourceError, check_own_sources, check_sources};
pub use stream::Stream;
pub use tls::{Handshake, TlsError, client_config};
pub use tls_words::innermost;
pub use uses::{LocalEnd, PortUses};

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Discovery.
    Options,
    /// Every command.
    Post,
    /// For tests of a transport.
    Get,
}

impl Method {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Options => "OPTIONS",
            Self::Post => "POST",
            Self::Get => "GET",
        }
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: &'a str,
    /// Headers, without Host and Content-Length.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body; `Content-Length` is sent when it is not empty.
    pub body: &'a [u8],
    /// The server is meant to keep it open. Only for the account of what connections are used for.
    pub held: bool,
}

/// What became of the connection after a complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionEnd {
    /// Kept for the next request.
    Kept,
    /// The server said or showed that it closes it.
    ClosedByServer,
    /// We closed it: more bytes came than the answer has.
    ClosedByUs,
}

/// How a device gives a connection up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Abandon {
    /// Closes it.
    Fin,
    /// Resets it.
    Rst,
    /// Says nothing, as a phone that lost its network: the server sees neither FIN nor RST.
    Silence,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server closed the connection before the first byte of an answer.
    #[error("the server closed the connection without an answer")]
    ClosedWithoutAnswer,
    /// The server closed the connection inside an answer.
    #[error("the server closed the connection after {received} bytes of an answer")]
    Truncated {
        /// Bytes that came.
        received: usize,
    },
    /// The connection was reset.
    #[error("the connection was reset")]
    Reset,
    /// The deadline passed.
    #[error("no complete answer in time ({received} bytes so far)")]
    TimedOut {
        /// Bytes that came.
        received: usize,
    },
    /// Not HTTP, or HTTP against its rules.
    #[error("not a valid HTTP answer: {0}")]
    Malformed(&'static str),
    /// More than [`Limits`] allow.
    #[error("{what} exceeds the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Any other error of the operating system.
    #[error("input or output failed: {0}")]
    Io(String),
}

impl FailureKind {
    /// Whether the connection went away before an answer began.
    #[must_use]
    pub const fn is_disconnect(&self) -> bool {
        matches!(self, Self::ClosedWithoutAnswer | Self::Reset)
    }

    pub(crate) fn from_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
                Self::Reset
            }
            // rustls reports a TCP close without close_notify this way.
            ErrorKind::UnexpectedEof => Self::ClosedWithoutAnswer,
            _ => Self::Io(tls_words::describe(error)),
        }
    }
}

/// A request without an answer, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// When it was completely written, if it was.
    pub sent: Option<Instant>,
    /// Whether an earlier request's connection was used. A server may close such a connection at
    /// any time, so a failure before the answer means little then and the request is repeated.
    pub reused: bool,
}

/// When a request was written and its answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// [`Begun::sent`] of the request.
    pub sent: Instant,
    /// From `sent` to the last byte of the answer.
    pub total: Duration,
}

impl Timing {
    /// When the last byte of the answer came.
    #[must_use]
    pub fn end(&self) -> Instant {
        self.sent + self.total
    }

    /// An answer that ends now.
    pub(crate) fn since(sent: Instant) -> Self {
        let total = sent.elapsed();
        Self { sent, total }
    }
}

/// A request that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// When the last piece of it began to be handed over. Latencies and heartbeats count from here.
    pub sent: Instant,
    /// The connection's end on this side.
    pub local: LocalEnd,
    /// TCP handshake, if a new connection was made.
    pub connect: Option<Duration>,
    /// TLS handshake, if a new connection was made with TLS.
    pub tls: Option<Handshake>,
}

/// The server at the other end, as far as cookies ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Host name or address, without a port.
    pub host: &'a str,
    /// Port.
    pub port: u16,
    /// TLS is spoken.
    pub secure: bool,
}

/// What carries a device's requests.
pub trait Transport: Send + Sized {
    /// Writes a request, over the kept connection or a new one.
    fn begin(
        &mut self,
        request: Request<'_>,
    ) -> impl Future<Output = Result<Begun, Failure>> + Send;

    /// Waits for the answer to the request that was begun. After [`FailureKind::TimedOut`] the
    /// connection is still open, so that it can be [abandoned](Self::abandon) in style; after any
    /// other failure it is gone.
    fn answer(&mut self, deadline: Instant)
    -> impl Future<Output = Result<Answer, Failure>> + Send;

    /// Another transport of the same device, without a connection.
    fn another(&self) -> Self;

    /// Gives the connection up.
    fn abandon(&mut self, how: Abandon);

    /// Whether a connection is open.
    fn is_connected(&self) -> bool;

    /// Where requests go; `None` where there is no host, as for streams in memory. A transport around
    /// another one asks that.
    fn origin(&self) -> Option<Origin<'_>> {
        None
    }

    /// The other end of the open connection, as far as it is known. A transport around another one asks
    /// that.
    fn peer(&self) -> Peer {
        Peer::default()
    }

    /// Goes to another server from the next request on; the connection is closed. A transport around
    /// another one asks that.
    ///
    /// # Errors
    /// When that server must not or cannot be gone to; then nothing has changed.
    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        let _ = to;
        Err(RedirectError::NotHere)
    }
}
