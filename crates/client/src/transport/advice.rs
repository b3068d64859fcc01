//! What a first request that fails may mean: the wrong scheme is the most frequent mistake in a URL.

use std::time::Duration;

use super::FailureKind;

/// What to try after a failure, to be put behind its text; empty if there is nothing to try.
#[must_use]
pub fn advice(failure: &FailureKind, is_tls: bool) -> &'static str {
    match failure {
        FailureKind::Connect(super::ConnectError::Tls(text))
            if is_tls && (text.contains("plain HTTP") || text.contains("does not speak TLS")) =>
        {
            "; if this port speaks plain HTTP, the URL begins with http://"
        }
        FailureKind::ClosedWithoutAnswer
        | FailureKind::Reset
        | FailureKind::Truncated { .. }
        | FailureKind::Malformed(_)
            if !is_tls =>
        {
            "; if this port speaks TLS, the URL begins with https://"
        }
        _ => "",
    }
}

/// What it means that nothing came within a time, with or without a connection.
#[must_use]
pub fn silence(is_tls: bool, is_connected: bool, limit: Duration) -> String {
    let seconds = limit.as_secs();
    match (is_connected, is_tls) {
        (true, true) => format!(
            "it accepts connections and gives no answer within {seconds} s; if the application pool has \
             just started, try again"
        ),
        (true, false) => format!(
            "it accepts connections and gives no answer within {seconds} s; if the application pool has \
             just started, try again; if this port speaks TLS, the URL begins with https://"
        ),
        (false, true) => format!(
            "no TLS connection within {seconds} s; if this port speaks plain HTTP, the URL begins with \
             http://"
        ),
        (false, false) => format!("no connection within {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::ConnectError;

    #[test]
    fn a_failure_of_the_wrong_scheme_names_the_other_scheme() {
        let to_http = "; if this port speaks plain HTTP, the URL begins with http://";
        let to_https = "; if this port speaks TLS, the URL begins with https://";
        let tls = |text: &str| FailureKind::Connect(ConnectError::Tls(text.to_owned()));
        let cases = [
            (
                tls("the server does not speak TLS on this port"),
                true,
                to_http,
            ),
            (
                tls(
                    "the server closed the connection inside the handshake; is it a plain HTTP port?",
                ),
                true,
                to_http,
            ),
            (tls("invalid peer certificate"), true, ""),
            (FailureKind::ClosedWithoutAnswer, false, to_https),
            (FailureKind::Reset, false, to_https),
            (
                FailureKind::Malformed("the status line is broken"),
                false,
                to_https,
            ),
            (FailureKind::ClosedWithoutAnswer, true, ""),
            (FailureKind::Connect(ConnectError::Refused), false, ""),
            (FailureKind::Connect(ConnectError::Refused), true, ""),
        ];
        for (failure, is_tls, expected) in cases {
            assert_eq!(advice(&failure, is_tls), expected, "{failure}");
        }
    }
}
