//! What reqwest gives of an answer, made into one of ours.

use reqwest::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Response, Version};

use crate::transport::answer::decompress;
use crate::transport::{Answer, ConnectionEnd, FailureKind, Limits, Timing};

/// How an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By its length, chunks or stream.
    Told,
    /// With the connection.
    UntilClose,
    /// It is not read: hyper would wait for the end of a connection that is kept.
    Nothing,
}

impl Framing {
    pub(super) fn of(response: &Response, is_options: bool) -> Self {
        let headers = response.headers();
        let is_told = headers.contains_key(CONTENT_LENGTH)
            || headers.contains_key(TRANSFER_ENCODING)
            || response.version() >= Version::HTTP_2
            || matches!(response.status().as_u16(), 204 | 304);
        match is_told {
            true => Self::Told,
            // IIS and hyper omit the length of an empty answer to OPTIONS on a kept connection.
            false if is_options && !closes(response) => Self::Nothing,
            false => Self::UntilClose,
        }
    }
}

/// Whether the server says that it closes the connection.
fn closes(response: &Response) -> bool {
    let values = response.headers().get_all(CONNECTION).into_iter();
    let words: Vec<&str> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let has = |word: &str| words.iter().any(|one| one.eq_ignore_ascii_case(word));
    has("close") || (response.version() <= Version::HTTP_10 && !has("keep-alive"))
}

/// Bytes that the head has in HTTP/1.1.
pub(super) fn head_length(response: &Response) -> usize {
    let reason = response.status().canonical_reason().unwrap_or_default();
    let line = "HTTP/1.1 200 \r\n".len() + reason.len();
    let headers = response.headers().iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    line + headers + "\r\n".len()
}

fn texts(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let texts = headers.iter().filter_map(|(name, value)| {
        let value = std::str::from_utf8(value.as_bytes()).ok()?;
        Some((name.as_str(), value))
    });
    texts.collect()
}

/// The complete answer.
pub(super) fn finish(
    response: &Response,
    body: Vec<u8>,
    framing: Framing,
    timing: Timing,
    limits: &Limits,
) -> Result<Answer, FailureKind> {
    let mut gzip = false;
    for value in response.headers().get_all(CONTENT_ENCODING) {
        match value.to_str().unwrap_or_default().trim() {
            text if text.eq_ignore_ascii_case("gzip") => gzip = true,
            text if text.is_empty() || text.eq_ignore_ascii_case("identity") => {}
            _ => return Err(FailureKind::Malformed("a Content-Encoding other than gzip")),
        }
    }
    let body = if gzip && !body.is_empty() {
        decompress(&body, limits)?
    } else {
        body
    };
    let end = match framing {
        Framing::UntilClose => ConnectionEnd::ClosedByServer,
        Framing::Nothing => ConnectionEnd::ClosedByUs,
        Framing::Told if closes(response) => ConnectionEnd::ClosedByServer,
        Framing::Told => ConnectionEnd::Kept,
    };
    let status = response.status().as_u16();
    let headers = texts(response.headers());
    Ok(Answer::from_parts(status, &headers, body, timing, end))
}
