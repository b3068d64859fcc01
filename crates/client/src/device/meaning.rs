//! What an answer means before its body is decoded.

use std::time::{Duration, SystemTime};

use eas::{Command, http};

use super::guard::LoginOutcome;
use crate::transport::Answer;

/// Longest pause a server may ask for: an hour, the longest heartbeat. More would park a device
/// for the rest of a run.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How long the server asks to wait: seconds, or until an HTTP date (RFC 9110 10.2.3). `now` is the
/// wall clock, which such a date belongs to. Zero or a time that has passed asks for nothing: the
/// device then waits as after any failure.
pub(super) fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        // More digits than fit are more than the bound.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).ok()?
    };
    (!wait.is_zero()).then(|| wait.min(MAX_RETRY_AFTER))
}

/// Whether the answer to a command is a web page. What OPTIONS says is in its headers, and an
/// attachment may be a page.
pub(super) fn is_web_page(command: Option<Command>, answer: &Answer) -> bool {
    if matches!(command, None | Some(Command::GetAttachment)) || answer.body.is_empty() {
        return false;
    }
    // Some servers name that type for want of a better one, so WBXML counts as what it is.
    let is_named = answer
        .header("Content-Type")
        .is_some_and(http::is_html_type);
    http::is_html(&answer.body) || (is_named && !is_wbxml(&answer.body))
}

/// Whether the answer shows that the server has accepted the login. A proxy that asks for a login answers with HTTP
/// 200 and a page, and some servers answer OPTIONS to anybody.
pub(super) fn shows_login(command: Option<Command>, answer: &Answer) -> LoginOutcome {
    let body = &answer.body;
    let is_active_sync =
        match command {
            None => answer.header(http::PROTOCOL_VERSIONS).is_some(),
            Some(Command::GetAttachment) => {
                let is_page = answer
                    .header("Content-Type")
                    .is_some_and(http::is_html_type);
                !is_page && !http::is_html(body)
            }
            // Sync without changes and mail that was accepted have an empty answer (MS-ASCMD 2.2.1.21, 2.2.1.17).
            Some(
                Command::Sync | Command::SendMail | Command::SmartReply | Command::SmartForward,
            ) if body.is_empty() => true,
            Some(_) => is_wbxml(body),
        };
    match (is_active_sync, command) {
        (false, _) => LoginOutcome::Answered,
        (true, None) => LoginOutcome::Discovered,
        (true, Some(_)) => LoginOutcome::Accepted,
    }
}

/// The first byte of WBXML is its version: 1.1 to 1.3.
fn is_wbxml(body: &[u8]) -> bool {
    body.first().is_some_and(|first| (1..=3).contains(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_http_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, expected) in [
            ("30", seconds(30)),
            (" 3600 ", seconds(3600)),
            ("3601", seconds(3600)),
            ("99999999999999999999999", seconds(3600)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", seconds(30)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", seconds(30)),
            ("Sun Nov  6 08:50:07 1994", seconds(30)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", seconds(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }
}
