//! Answers as bytes: those of the applications, and HTTP.sys's own pages.

use std::cell::RefCell;
use std::fmt::Write as _;

use super::message::Refusal;
use crate::link::WireAnswer;

/// An answer of HTTP.sys itself, byte for byte (mock-fidelity section 4): what clients see when
/// the queue is full or the pool is stopped.
pub(crate) fn unavailable() -> Vec<u8> {
    page(
        503,
        "Service Unavailable",
        "Service Unavailable",
        "HTTP Error 503. The service is unavailable.",
    )
}

/// A page in place of an answer, as a captive portal gives it.
pub(crate) fn web_page() -> Vec<u8> {
    page(200, "OK", "Log in", "Accept the terms to use this network.")
}

/// A gateway's answer in place of the server's.
pub(crate) fn of_gateway(status: u16) -> Vec<u8> {
    page(
        status,
        reason(status),
        reason(status),
        "The gateway has no answer.",
    )
}

/// HTTP.sys's answer to what it does not understand. The texts follow the template of its 503; of
/// the others only the lengths are known (326 for the invalid verb).
pub(crate) fn refused(refusal: Refusal) -> Vec<u8> {
    let bad = |what: &str, text: &str| page(400, "Bad Request", what, text);
    match refusal {
        Refusal::Verb => bad(
            "Bad Request - Invalid Verb",
            "HTTP Error 400. The request verb is invalid.",
        ),
        Refusal::Url => bad(
            "Bad Request - Invalid URL",
            "HTTP Error 400. The request URL is invalid.",
        ),
        Refusal::Hostname => bad(
            "Bad Request - Invalid Hostname",
            "HTTP Error 400. The request hostname is invalid.",
        ),
        Refusal::TooLong => bad(
            "Bad Request - Request Too Long",
            "HTTP Error 400. The size of the request headers is too long.",
        ),
        Refusal::Header => bad(
            "Bad Request - Invalid Header",
            "HTTP Error 400. The request has an invalid header name.",
        ),
        Refusal::Body => bad(
            "Bad Request",
            "HTTP Error 400. The request is badly formed.",
        ),
        Refusal::Version => page(
            505,
            "HTTP Version Not Supported",
            "HTTP Version Not Supported",
            "HTTP Error 505. The HTTP version is not supported.",
        ),
        // ASP.NET's answer to a body above maxRequestLength differs by version (mock-fidelity T8).
        Refusal::TooLarge => page(404, "Not Found", "Not Found", NOT_FOUND),
    }
}

const NOT_FOUND: &str = "HTTP Error 404. The requested resource is not found.";

fn page(status: u16, title: &str, heading: &str, text: &str) -> Vec<u8> {
    let body = format!(
        "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 4.01//EN\"\
         \"http://www.w3.org/TR/html4/strict.dtd\">\r\n\
         <HTML><HEAD><TITLE>{title}</TITLE>\r\n\
         <META HTTP-EQUIV=\"Content-Type\" Content=\"text/html; charset=us-ascii\"></HEAD>\r\n\
         <BODY><h2>{heading}</h2>\r\n\
         <hr><p>{text}</p>\r\n\
         </BODY></HTML>\r\n"
    );
    let mut date = String::new();
    push_date(&mut date);
    let mut answer = format!(
        "HTTP/1.1 {status} {title}\r\n\
         Content-Type: text/html; charset=us-ascii\r\n\
         Server: Microsoft-HTTPAPI/2.0\r\n\
         Date: {date}\r\n\
         Connection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    answer.push_str(&body);
    answer.into_bytes()
}

/// What the request means for the way its answer is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerFraming {
    pub(crate) keep_alive: bool,
    /// HTTP/1.0: knows no chunks, and a kept connection is told of.
    pub(crate) is_old: bool,
    /// The answer to HEAD has no body (RFC 9110 9.3.2).
    pub(crate) head_only: bool,
}

/// An application's answer.
pub(crate) fn encode(answer: &WireAnswer, framing: AnswerFraming, chunked: bool) -> Vec<u8> {
    /// Status line and the dozen headers of Exchange.
    const USUAL_HEAD: usize = 640;
    let mut head = String::with_capacity(USUAL_HEAD + answer.body.len());
    // Writing to a String cannot fail.
    let _ = write!(
        head,
        "HTTP/1.1 {} {}\r\n{}Date: ",
        answer.status,
        reason(answer.status),
        answer.headers.as_str(),
    );
    push_date(&mut head);
    head.push_str("\r\n");
    match framing {
        AnswerFraming {
            keep_alive: false, ..
        } => head.push_str("Connection: close\r\n"),
        AnswerFraming { is_old: true, .. } => head.push_str("Connection: keep-alive\r\n"),
        _ => {}
    }
    if chunked && !answer.body.is_empty() && !framing.head_only {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(format!("{:X}\r\n", answer.body.len()).as_bytes());
        bytes.extend_from_slice(&answer.body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        return bytes;
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", answer.body.len());
    let mut bytes = head.into_bytes();
    if !framing.head_only {
        bytes.extend_from_slice(&answer.body);
    }
    bytes
}

thread_local! {
    /// The second of the last date, and its text: formatting it costs more than the rest of a head.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
}

/// RFC 1123, GMT.
fn push_date(head: &mut String) {
    let now = sim_net::wall_clock::now();
    DATE.with_borrow_mut(|(second, text)| {
        if *second != now.as_second() || text.is_empty() {
            *second = now.as_second();
            *text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        head.push_str(text);
    });
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        415 => "Unsupported Media Type",
        // Not registered; the phrase that other servers use.
        449 => "Retry after sending a PROVISION command",
        451 => "Redirect",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_length(answer: &[u8]) -> usize {
        let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
        answer.len() - head.unwrap() - 4
    }

    /// The lengths that are known of the real pages.
    #[test]
    fn http_sys_s_pages_have_their_lengths() {
        assert_eq!(body_length(&unavailable()), 326);
        assert_eq!(body_length(&refused(Refusal::Verb)), 326);
        assert_eq!(body_length(&refused(Refusal::Hostname)), 334);
        assert_eq!(body_length(&refused(Refusal::TooLarge)), 315);
    }
}
