//! What a device tells of itself.

use std::time::Duration;

use eas::Command;
use scenario::Action;
use scenario::names::DeviceState;
use tokio::time::Instant;

use crate::transport::{ConnectError, ConnectionEnd, FailureKind, Handshake, Timing};

/// How a held Ping ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PingEnd {
    /// Status 1, so long after (positive) or before (negative) its heartbeat, in seconds.
    Expired {
        /// Seconds past the heartbeat.
        overshoot: f64,
    },
    /// Status 2.
    Changes,
    /// Status 1 before its heartbeat, because the device sent another Ping.
    Superseded,
    /// Another status.
    Status(u16),
    /// The device gave it up.
    Abandoned {
        /// Seconds of its heartbeat that were left: so long a server may go on holding it.
        left: f64,
    },
    /// No answer by heartbeat and grace.
    Overdue {
        /// Seconds past the heartbeat.
        overshoot: f64,
    },
    /// The connection ended without an answer.
    Cut,
    /// A gateway lost the server while the Ping was held (HTTP 502).
    Lost,
    /// A gateway's own timeout was over while the Ping was held (HTTP 408 or 504).
    TimedOut,
    /// The device gave it up for the next request, which would have ended it.
    Interrupted,
    /// The run ended first.
    OpenAtEnd {
        /// Past its heartbeat and grace.
        overdue: bool,
    },
}

/// The kinds of failures that are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// No connection: refused, timed out, unresolved, TLS.
    Connect,
    /// No local port or descriptor: the harness's own limit.
    OwnLimit,
    /// Closed without or inside an answer.
    Closed,
    /// Reset.
    Reset,
    /// No answer in time.
    TimedOut,
    /// An answer against the rules of HTTP, or too large.
    Malformed,
}

impl FailureClass {
    /// The class of a failure.
    #[must_use]
    pub const fn of(kind: &FailureKind) -> Self {
        match kind {
            FailureKind::Connect(ConnectError::NoLocalPort | ConnectError::NoDescriptor) => {
                Self::OwnLimit
            }
            FailureKind::Connect(_) => Self::Connect,
            FailureKind::Reset | FailureKind::Io(_) => Self::Reset,
            FailureKind::TimedOut { .. } => Self::TimedOut,
            FailureKind::Malformed(_) | FailureKind::TooLarge { .. } => Self::Malformed,
            FailureKind::ClosedWithoutAnswer | FailureKind::Truncated { .. } => Self::Closed,
        }
    }
}

/// A header by which a server says that it turns requests away to protect itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThrottleHeader {
    /// How long to wait (RFC 9110 10.2.3).
    RetryAfter,
    /// Why (MS-ASHTTP 2.2.2.1.2.13).
    AsThrottle,
}

impl ThrottleHeader {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::RetryAfter, Self::AsThrottle];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetryAfter => "Retry-After",
            Self::AsThrottle => "X-MS-ASThrottle",
        }
    }
}

/// One thing that happened to a device.
#[derive(Debug)]
pub enum Event<'a> {
    /// It does something else now.
    State {
        /// What it did.
        from: DeviceState,
        /// What it does.
        to: DeviceState,
    },
    /// A request goes out, over a new connection or a kept one.
    Begun {
        /// TCP handshake of a new connection.
        connect: Option<Duration>,
        /// TLS handshake of a new connection.
        tls: Option<Handshake>,
    },
    /// A command was answered, whatever its status. `None` is OPTIONS.
    Answered {
        /// The command.
        command: Option<Command>,
        /// HTTP status.
        http_status: u16,
        /// From the moment when the request was written to the last byte of the answer.
        took: Duration,
        /// What became of the connection.
        end: ConnectionEnd,
    },
    /// A command was not answered.
    Failed {
        /// The command.
        command: Option<Command>,
        /// Why.
        class: FailureClass,
        /// In words.
        text: &'a str,
        /// How long it had been under way, if it was completely sent.
        age: Option<Duration>,
    },
    /// The body of an answer could not be understood.
    BadBody {
        /// The command.
        command: Option<Command>,
        /// Why.
        text: &'a str,
    },
    /// An answer with HTTP 200 was a web page.
    WebPage,
    /// An answer with HTTP 429 or 503 named that header.
    Throttled {
        /// Which one.
        by: ThrottleHeader,
    },
    /// Items of an answer were skipped because they do not fit the schema; the others were taken.
    Skipped {
        /// The command.
        command: Command,
        /// Number of items.
        count: usize,
        /// Why.
        text: &'a str,
    },
    /// A Status other than success.
    Status {
        /// The command.
        command: Command,
        /// The status.
        code: u16,
    },
    /// A Ping was sent, or a Sync that hangs as one.
    PingSent {
        /// When.
        sent: Instant,
        /// It is a Sync.
        hangs: bool,
        /// Since the end of the one before, when this one was due; without the time in which the
        /// device had no network. `None` for the first.
        gap: Option<Duration>,
    },
    /// A Ping ended, so long after it was sent.
    PingEnded {
        /// How.
        end: PingEnd,
        /// How old it was.
        age: Duration,
    },
    /// The device has a Ping open beside the one that its state tells of, or no more.
    SecondPing {
        /// Whether it has.
        open: bool,
    },
    /// A new item came in a Sync answer.
    ItemSynced {
        /// Its subject.
        subject: &'a str,
        /// When the Ping that led to this Sync was answered.
        ping_answered: Option<Instant>,
        /// When the Sync was answered.
        at: Instant,
    },
    /// A Sync was answered with success.
    Synced {
        /// When it was sent, and how long the answer took.
        timing: Timing,
        /// The Inbox was asked for, and nothing of it is left on the server.
        has_inbox: bool,
    },
    /// A second connection is used for what the user does, or not any more.
    Acting {
        /// It is.
        open: bool,
    },
    /// The user did something, or tried to: the reason of a failure is told by another event.
    Acted {
        /// What.
        action: Action,
        /// In vain.
        failed: bool,
    },
    /// The server refused the user's credentials.
    Refused {
        /// Why, if it is not the password.
        why: Option<&'a str>,
        /// They were accepted the last time.
        again: bool,
    },
    /// A Bearer token was fetched.
    TokenRenewed,
    /// The server refused a Bearer token, which is renewed.
    TokenRefused,
    /// No Bearer token could be fetched.
    TokenFailed {
        /// Why.
        text: &'a str,
    },
    /// The server sent the device to another one, and it goes there.
    Redirected,
    /// The server sent the device to another one, and it does not go there.
    NotRedirected {
        /// Why.
        text: &'a str,
    },
    /// The device provisions.
    Provisioning,
    /// The device has a policy key.
    Provisioned,
    /// The Sync after a Ping that reported changes brought none.
    NoNews,
    /// The device starts a collection again with Sync key 0.
    SyncKeyReset,
    /// The device fetches the folder hierarchy.
    HierarchyFetched,
}

/// Takes events in. Called from every device, so it must be cheap and must not wait.
pub trait Record: Send + Sync + 'static {
    /// Takes one event of one device in.
    fn record(&self, device: u32, event: Event<'_>);
}
