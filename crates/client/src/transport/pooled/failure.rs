//! reqwest's errors in the words of this crate: by their types, as far as those can be named.

use std::error::Error;
use std::io;

use super::wire::NoHttp2;
use crate::transport::tls_words::{causes, describe};
use crate::transport::{ConnectError, FailureKind, Limits};

pub(super) use crate::transport::tls_words::innermost;

/// What was going on when it failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// A TLS handshake had begun on the connection that was being made.
    pub(super) in_tls: bool,
    /// There is a proxy in between.
    pub(super) by_proxy: bool,
    /// Bytes of the answer that are here.
    pub(super) received: usize,
}

/// The innermost error of the operating system, or of TLS in its clothes.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let of_io = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    of_io.last()
}

/// What a failure was.
pub(super) fn kind(error: &reqwest::Error, at: At, limits: &Limits) -> FailureKind {
    if error.is_connect() || error.is_dns() {
        return connect(error, at).into();
    }
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse_too_large() {
                return FailureKind::TooLarge {
                    what: "the head of the answer",
                    limit: limits.head,
                };
            }
            if error.is_parse() || error.is_parse_status() {
                return FailureKind::Malformed("the status line or a header is broken");
            }
            if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
                return closed(at);
            }
        }
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            return match error.get_io() {
                // h2 does not show it as a cause.
                Some(error) => io_kind(error, at),
                None if error.is_reset() || error.is_go_away() => FailureKind::Reset,
                None => FailureKind::Malformed("the server breaks the rules of HTTP/2"),
            };
        }
    }
    match io_error(error) {
        Some(error) => io_kind(error, at),
        None => FailureKind::Io(innermost(error)),
    }
}

fn io_kind(error: &io::Error, at: At) -> FailureKind {
    let inner = error.get_ref();
    let of_tls = inner.is_some_and(|inner| inner.is::<rustls::Error>());
    match error.kind() {
        // hyper's words for a broken chunk.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if !of_tls => {
            FailureKind::Malformed("a chunk is broken")
        }
        io::ErrorKind::UnexpectedEof => closed(at),
        _ => FailureKind::from_io(error),
    }
}

fn closed(at: At) -> FailureKind {
    match at.received {
        0 => FailureKind::ClosedWithoutAnswer,
        received => FailureKind::Truncated { received },
    }
}

fn connect(error: &reqwest::Error, at: At) -> ConnectError {
    let io = io_error(error);
    if causes(error).any(|cause| cause.is::<NoHttp2>()) {
        return ConnectError::Tls(NoHttp2.to_string());
    }
    if at.in_tls {
        return ConnectError::Tls(match io {
            _ if error.is_timeout() => "the handshake timed out".to_owned(),
            Some(error) => describe(error),
            None => innermost(error),
        });
    }
    let kind = match io {
        _ if error.is_timeout() => ConnectError::TimedOut,
        _ if error.is_dns() => ConnectError::Resolve(innermost(error)),
        Some(error) => ConnectError::from_io(error),
        None => ConnectError::Other(innermost(error)),
    };
    match kind {
        // These are this machine's, whoever is at the other end.
        ConnectError::NoLocalPort | ConnectError::NoDescriptor => kind,
        ConnectError::Other(text) if at.by_proxy => ConnectError::Proxy(text),
        kind if at.by_proxy => ConnectError::Proxy(kind.to_string()),
        kind => kind,
    }
}
