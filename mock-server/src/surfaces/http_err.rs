//! HTTPERR: what HTTP.sys notes about requests that no worker answered, among them the Pings that
//! never get a line in the log of IIS (server-observability.md, section 5).

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use super::w3c::{self, Field};

/// Why there was no answer; displayed as HTTP.sys spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The pool is stopped.
    AppOffline,
    /// What arrived is no HTTP request, in another way than those below.
    BadRequest,
    /// The worker ended with the request open.
    ConnectionAbandonedByAppPool,
    /// The client closed, and the worker did not complete the request within two minutes.
    ConnectionDropped,
    /// A header is malformed.
    Header,
    /// Host is absent, there several times, or no host.
    Hostname,
    /// As many requests wait as the queue takes.
    QueueFull,
    /// The request line and headers are too long.
    RequestLength,
    /// A connection without a request was closed for being idle; harmless.
    TimerConnectionIdle,
    /// The target is no URL.
    Url,
    /// The method is no token.
    Verb,
    /// A version of HTTP that is not spoken.
    VersionNotSupported,
}

impl Reason {
    /// The status that HTTP.sys itself answered with, if it answered.
    const fn status(self) -> Option<u16> {
        match self {
            Self::AppOffline | Self::QueueFull => Some(503),
            Self::BadRequest
            | Self::Header
            | Self::Hostname
            | Self::RequestLength
            | Self::Url
            | Self::Verb => Some(400),
            Self::VersionNotSupported => Some(505),
            Self::ConnectionAbandonedByAppPool
            | Self::ConnectionDropped
            | Self::TimerConnectionIdle => None,
        }
    }
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppOffline => "AppOffline",
            Self::BadRequest => "BadRequest",
            Self::ConnectionAbandonedByAppPool => "Connection_Abandoned_By_AppPool",
            Self::ConnectionDropped => "Connection_Dropped",
            Self::Header => "Header",
            Self::Hostname => "Hostname",
            Self::QueueFull => "QueueFull",
            Self::RequestLength => "RequestLength",
            Self::TimerConnectionIdle => "Timer_ConnectionIdle",
            Self::Url => "URL",
            Self::Verb => "Verb",
            Self::VersionNotSupported => "Version_N/S",
        })
    }
}

/// The directives above the lines of a log that began then.
pub(crate) fn header(began: Timestamp) -> String {
    w3c::header(
        "Microsoft HTTP API 2.0",
        began,
        "date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid \
         s-reason s-queuename",
    )
}

/// What is known of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedRequest<'a> {
    /// Such as `HTTP/1.1`.
    pub(crate) version: &'a str,
    /// Method.
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) uri: &'a str,
}

/// One line, without its end.
#[derive(Debug, Clone)]
pub(crate) struct HttpErrLine<'a> {
    /// When it was noted.
    pub(crate) at: Timestamp,
    /// The client.
    pub(crate) client: SocketAddr,
    /// Where the client connected to.
    pub(crate) server: SocketAddr,
    /// `None` for a connection without a request that could be read.
    pub(crate) request: Option<FailedRequest<'a>>,
    /// Number of the web site: 1 for `Default Web Site`, 2 for `Exchange Back End`.
    pub(crate) site: Option<u32>,
    /// Why there was no answer.
    pub(crate) reason: Reason,
    /// The pool, once the request has reached its queue.
    pub(crate) queue: Option<&'a str>,
}

impl Display for HttpErrLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (version, method, uri) = self.request.map_or(("", "", ""), |request| {
            (request.version, request.method, request.uri)
        });
        write!(
            f,
            "{} {} {} {} {} {} {} {} {} {} {} {}",
            w3c::stamp(self.at),
            Host(self.client),
            self.client.port(),
            Host(self.server),
            self.server.port(),
            Field(version),
            Field(method),
            Field(uri),
            OrHyphen(self.reason.status()),
            OrHyphen(self.site),
            self.reason,
            Field(self.queue.unwrap_or_default()),
        )
    }
}

/// Unlike IIS, HTTP.sys adds the scope to an IPv6 address, even zero.
struct Host(SocketAddr);

impl Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.ip().to_canonical(), self.0) {
            (IpAddr::V6(ip), SocketAddr::V6(address)) => write!(f, "{ip}%{}", address.scope_id()),
            (ip, _) => ip.fmt(f),
        }
    }
}

/// A number that may be unknown.
struct OrHyphen<T>(Option<T>);

impl<T: Display> Display for OrHyphen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> HttpErrLine<'static> {
        HttpErrLine {
            at: "2026-03-14T02:11:09.9Z".parse().unwrap(),
            client: "10.9.1.7:51514".parse().unwrap(),
            server: "10.0.0.5:443".parse().unwrap(),
            request: Some(FailedRequest {
                version: "HTTP/1.1",
                method: "POST",
                uri: "/Microsoft-Server-ActiveSync?Cmd=Ping",
            }),
            site: Some(1),
            reason: Reason::ConnectionDropped,
            queue: Some("MSExchangeSyncAppPool"),
        }
    }

    #[test]
    fn a_log_in_full() {
        let full = HttpErrLine {
            reason: Reason::QueueFull,
            ..line()
        };
        let idle = HttpErrLine {
            client: "[::1]:51515".parse().unwrap(),
            server: "[::1]:443".parse().unwrap(),
            request: None,
            site: None,
            reason: Reason::TimerConnectionIdle,
            queue: None,
            ..line()
        };
        let log = format!("{}\n{}\n{full}\n{idle}\n", header(line().at), line());
        assert_eq!(
            log,
            "\
#Software: Microsoft HTTP API 2.0
#Version: 1.0
#Date: 2026-03-14 02:11:09
#Fields: date time c-ip c-port s-ip s-port cs-version cs-method cs-uri sc-status s-siteid \
s-reason s-queuename
2026-03-14 02:11:09 10.9.1.7 51514 10.0.0.5 443 HTTP/1.1 POST \
/Microsoft-Server-ActiveSync?Cmd=Ping - 1 Connection_Dropped MSExchangeSyncAppPool
2026-03-14 02:11:09 10.9.1.7 51514 10.0.0.5 443 HTTP/1.1 POST \
/Microsoft-Server-ActiveSync?Cmd=Ping 503 1 QueueFull MSExchangeSyncAppPool
2026-03-14 02:11:09 ::1%0 51515 ::1%0 443 - - - - - Timer_ConnectionIdle -
"
        );
    }

    #[test]
    fn the_status_is_the_one_http_sys_sent() {
        for (reason, end) in [
            (
                Reason::AppOffline,
                " 503 1 AppOffline MSExchangeSyncAppPool",
            ),
            (
                Reason::BadRequest,
                " 400 1 BadRequest MSExchangeSyncAppPool",
            ),
            (
                Reason::ConnectionAbandonedByAppPool,
                " - 1 Connection_Abandoned_By_AppPool MSExchangeSyncAppPool",
            ),
        ] {
            let line = HttpErrLine { reason, ..line() }.to_string();
            assert!(line.ends_with(end), "{line}");
        }
    }

    #[test]
    fn a_hostile_request_stays_in_its_fields() {
        let hostile = HttpErrLine {
            request: Some(FailedRequest {
                version: "HTTP/1.1\n",
                method: "PO ST",
                uri: "/\r\n2026-03-14 02:11:09 10.9.1.8 1 10.0.0.5 443",
            }),
            ..line()
        };
        let text = hostile.to_string();
        assert_eq!(text.lines().count(), 1);
        assert_eq!(
            text.split(' ').count(),
            line().to_string().split(' ').count()
        );
    }
}
