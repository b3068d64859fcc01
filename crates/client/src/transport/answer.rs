//! Reading one HTTP/1.1 answer: head, body by length, chunks or end of stream, gzip.

use std::io::Read as _;

use super::{ConnectionEnd, FailureKind, Timing};

/// Bounds on what a server may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of status line and headers.
    pub head: usize,
    /// Bytes of a body, as sent and after decompression.
    pub body: usize,
}

impl Limits {
    /// HTTP.sys sends some 1 kB; authentication headers of Windows may reach 16 kB.
    pub const HEAD: usize = 64 << 10;
    /// Twice Exchange's largest request, as for WBXML documents.
    pub const BODY: usize = 20 << 20;
    /// Headers of one answer; Exchange sends about twenty.
    pub(super) const HEADERS: usize = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Self::HEAD,
            body: Self::BODY,
        }
    }
}

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, decompressed.
    pub body: Vec<u8>,
    /// When the request was written, and how long the answer took.
    pub timing: Timing,
    /// What became of the connection.
    pub end: ConnectionEnd,
    head: Vec<u8>,
}

impl Answer {
    /// An answer that was read elsewhere: by another HTTP library, or made up for a test. Header
    /// names and values must be what HTTP allows; others are not found again.
    #[must_use]
    pub fn from_parts(
        status: u16,
        headers: &[(&str, &str)],
        body: Vec<u8>,
        timing: Timing,
        end: ConnectionEnd,
    ) -> Self {
        let mut head = format!("HTTP/1.1 {status} -\r\n").into_bytes();
        for (name, value) in headers {
            head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        Self {
            status,
            body,
            timing,
            end,
            head,
        }
    }

    /// The first header of that name, in any letter case; values that are not text are passed
    /// over.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        // Parsed again at each look-up: an answer then costs one allocation, and few look.
        let mut headers = [httparse::EMPTY_HEADER; Limits::HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        parsed.parse(&self.head).ok()?;
        let found = parsed
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    }
}

impl Answer {
    /// All values of the headers of that name, which may be there more than once; values that are not
    /// text are passed over.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<String> {
        let mut headers = [httparse::EMPTY_HEADER; Limits::HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        if parsed.parse(&self.head).is_err() {
            return Vec::new();
        }
        let named = parsed.headers.iter();
        named
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .filter_map(|header| Some(std::str::from_utf8(header.value).ok()?.to_owned()))
            .collect()
    }

    /// All headers in their order; values that are not text are passed over.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let mut headers = [httparse::EMPTY_HEADER; Limits::HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        if parsed.parse(&self.head).is_err() {
            return Vec::new();
        }
        let texts = parsed.headers.iter().filter_map(|header| {
            let value = std::str::from_utf8(header.value).ok()?;
            Some((header.name.to_owned(), value.to_owned()))
        });
        texts.collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// What the head says.
#[derive(Debug)]
struct Head {
    length: usize,
    status: u16,
    framing: Framing,
    gzip: bool,
    close: bool,
}

/// Gathers the bytes of an answer and says when it is complete.
#[derive(Debug, Default)]
pub(super) struct Parser {
    bytes: Vec<u8>,
    head: Option<Head>,
    /// Where the next chunk's size line begins, and the chunks before it.
    next_chunk: usize,
    chunks: Vec<u8>,
    is_options: bool,
}

impl Parser {
    pub(super) fn received(&self) -> usize {
        self.bytes.len()
    }

    /// Takes more bytes in; true when the answer is complete.
    pub(super) fn push(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, FailureKind> {
        self.bytes.extend_from_slice(bytes);
        loop {
            if self.head.is_none() && !self.read_head(limits)? {
                return Ok(false);
            }
            let Some(head) = &self.head else {
                return Ok(false);
            };
            // Interim answers (100 Continue) come before the real one.
            if (100..200).contains(&head.status) {
                let length = head.length;
                self.bytes.drain(..length);
                self.head = None;
                continue;
            }
            let body = self.bytes.len() - head.length;
            return match head.framing {
                Framing::Length(length) => Ok(body >= length),
                Framing::UntilClose if body > limits.body => Err(too_large(limits)),
                Framing::UntilClose => Ok(false),
                Framing::Chunked => self.read_chunks(limits),
            };
        }
    }

    /// The connection ended; fine for an answer that is delimited by it.
    pub(super) fn end_of_stream(&self) -> Result<(), FailureKind> {
        match &self.head {
            Some(Head {
                framing: Framing::UntilClose,
                ..
            }) => Ok(()),
            _ if self.bytes.is_empty() => Err(FailureKind::ClosedWithoutAnswer),
            _ => Err(FailureKind::Truncated {
                received: self.bytes.len(),
            }),
        }
    }

    fn read_head(&mut self, limits: &Limits) -> Result<bool, FailureKind> {
        let mut headers = [httparse::EMPTY_HEADER; Limits::HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let status = match parsed.parse(&self.bytes) {
            Ok(status) => status,
            Err(httparse::Error::TooManyHeaders) => {
                return Err(FailureKind::TooLarge {
                    what: "the number of headers",
                    limit: Limits::HEADERS,
                });
            }
            Err(_) => match http2(&self.bytes) {
                Some(true) => return Err(FailureKind::Malformed(HTTP2_ONLY)),
                None => return Ok(false),
                Some(false) if eas::http::is_html(&self.bytes) => {
                    return Err(FailureKind::Malformed(
                        "an HTML page without an HTTP status line",
                    ));
                }
                Some(false) => {
                    return Err(FailureKind::Malformed(
                        "the status line or a header is broken",
                    ));
                }
            },
        };
        let httparse::Status::Complete(length) = status else {
            if self.bytes.len() > limits.head {
                return Err(FailureKind::TooLarge {
                    what: "the head of the answer",
                    limit: limits.head,
                });
            }
            return Ok(false);
        };
        if length > limits.head {
            return Err(FailureKind::TooLarge {
                what: "the head of the answer",
                limit: limits.head,
            });
        }
        let code = parsed.code.unwrap_or(0);
        let old = parsed.version == Some(0);
        let mut head = Head {
            length,
            status: code,
            framing: Framing::UntilClose,
            gzip: false,
            close: old,
        };
        let mut announced = None;
        for header in parsed.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            match header.name.to_ascii_lowercase().as_str() {
                "content-length" => {
                    let number = value
                        .parse::<usize>()
                        .map_err(|_| FailureKind::Malformed("Content-Length is not a number"))?;
                    if announced.is_some_and(|other| other != number) {
                        return Err(FailureKind::Malformed(
                            "two different Content-Length headers",
                        ));
                    }
                    announced = Some(number);
                }
                "transfer-encoding" => {
                    if !value.eq_ignore_ascii_case("chunked") {
                        return Err(FailureKind::Malformed(
                            "a Transfer-Encoding other than chunked",
                        ));
                    }
                    head.framing = Framing::Chunked;
                }
                "content-encoding" if value.eq_ignore_ascii_case("gzip") => head.gzip = true,
                "content-encoding"
                    if value.eq_ignore_ascii_case("identity") || value.is_empty() => {}
                "content-encoding" => {
                    return Err(FailureKind::Malformed("a Content-Encoding other than gzip"));
                }
                "connection" => {
                    let has = |word: &str| {
                        value
                            .split(',')
                            .any(|part| part.trim().eq_ignore_ascii_case(word))
                    };
                    head.close = has("close") || (old && !has("keep-alive"));
                }
                _ => {}
            }
        }
        match (head.framing, announced) {
            // Both present is how requests are smuggled; chunks win and the connection ends.
            (Framing::Chunked, Some(_)) => head.close = true,
            (Framing::Chunked, None) => {}
            (_, Some(length)) if length > limits.body => return Err(too_large(limits)),
            (_, Some(length)) => head.framing = Framing::Length(length),
            _ if matches!(code, 100..=199 | 204 | 304) => head.framing = Framing::Length(0),
            // IIS and hyper omit the length of an empty answer to OPTIONS on a kept connection.
            _ if self.is_options && !head.close => head.framing = Framing::Length(0),
            _ => {}
        }
        if matches!(code, 204 | 304) {
            head.framing = Framing::Length(0);
        }
        self.next_chunk = length;
        self.head = Some(head);
        Ok(true)
    }

    fn read_chunks(&mut self, limits: &Limits) -> Result<bool, FailureKind> {
        /// A size line is a few digits; extensions are allowed and ignored.
        const SIZE_LINE: usize = 1024;
        loop {
            let rest = &self.bytes[self.next_chunk..];
            let (line, size) = match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((line, _))) if line > SIZE_LINE => {
                    return Err(FailureKind::Malformed(
                        "a chunk size line of more than a kilobyte",
                    ));
                }
                Ok(httparse::Status::Complete(found)) => found,
                Ok(httparse::Status::Partial) if rest.len() > SIZE_LINE => {
                    return Err(FailureKind::Malformed("a chunk size line without end"));
                }
                Ok(httparse::Status::Partial) => return Ok(false),
                Err(_) => return Err(FailureKind::Malformed("a chunk size is not a number")),
            };
            if size == 0 {
                return self.read_trailers(self.next_chunk + line, limits);
            }
            let size = usize::try_from(size).map_err(|_| too_large(limits))?;
            if self.chunks.len().saturating_add(size) > limits.body {
                return Err(too_large(limits));
            }
            let start = self.next_chunk + line;
            let Some(chunk) = self.bytes.get(start..start + size + 2) else {
                return Ok(false);
            };
            if !chunk.ends_with(b"\r\n") {
                return Err(FailureKind::Malformed(
                    "a chunk does not end where its size says",
                ));
            }
            self.chunks.extend_from_slice(&chunk[..size]);
            // What has been taken in is dropped, so that extensions cannot pile up.
            let head = self.head.as_ref().map_or(0, |head| head.length);
            self.bytes.drain(head..start + size + 2);
            self.next_chunk = head;
        }
    }

    /// Trailer lines up to an empty one; their content is of no use to EAS.
    fn read_trailers(&mut self, mut at: usize, limits: &Limits) -> Result<bool, FailureKind> {
        let begin = at;
        loop {
            let rest = &self.bytes[at..];
            match rest.windows(2).position(|pair| pair == b"\r\n") {
                Some(0) => {
                    self.next_chunk = at + 2;
                    return Ok(true);
                }
                Some(length) => at += length + 2,
                None if self.bytes.len() - begin > limits.head => {
                    return Err(FailureKind::TooLarge {
                        what: "the trailers",
                        limit: limits.head,
                    });
                }
                None => return Ok(false),
            }
        }
    }

    /// The complete answer; call only after [`push`](Self::push) or
    /// [`end_of_stream`](Self::end_of_stream) said so.
    pub(super) fn finish(self, timing: Timing, limits: &Limits) -> Result<Answer, FailureKind> {
        let Some(head) = self.head else {
            return Err(FailureKind::ClosedWithoutAnswer);
        };
        let mut bytes = self.bytes;
        let (body, used) = match head.framing {
            Framing::Chunked => (self.chunks, self.next_chunk),
            Framing::Length(length) => {
                let end = head.length + length;
                (bytes[head.length..end].to_vec(), end)
            }
            Framing::UntilClose => (bytes[head.length..].to_vec(), bytes.len()),
        };
        let end = if head.close || head.framing == Framing::UntilClose {
            ConnectionEnd::ClosedByServer
        } else if used < bytes.len() {
            ConnectionEnd::ClosedByUs
        } else {
            ConnectionEnd::Kept
        };
        let body = if head.gzip && !body.is_empty() {
            decompress(&body, limits)?
        } else {
            body
        };
        bytes.truncate(head.length);
        bytes.shrink_to_fit();
        Ok(Answer {
            status: head.status,
            body,
            timing,
            end,
            head: bytes,
        })
    }
}

/// What a device says of a server that answers in HTTP/2.
const HTTP2_ONLY: &str =
    "the server speaks HTTP/2 only; set transport = \"reqwest\" and http2 = true in [target]";

/// Whether bytes are the begin of HTTP/2: a server's first frame is SETTINGS, and GOAWAY comes from
/// one that did not see HTTP/2 (RFC 9113 3.4, 4.1). `None` if more bytes are needed to tell.
fn http2(bytes: &[u8]) -> Option<bool> {
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    /// The largest frame without an agreement.
    const LARGEST: usize = 16 << 10;
    // A first byte of 0 is no HTTP/1 answer: it belongs to the frame's length of three bytes.
    if bytes.first().is_some_and(|first| *first != 0) {
        return Some(false);
    }
    let &[_, high, low, kind, _, a, b, c, d] = bytes.first_chunk::<9>()?;
    let length = usize::from(high) << 8 | usize::from(low);
    let is_frame = match kind {
        SETTINGS => length.is_multiple_of(6),
        GOAWAY => length >= 8,
        _ => false,
    };
    Some(is_frame && length <= LARGEST && [a, b, c, d] == [0; 4])
}

pub(super) fn too_large(limits: &Limits) -> FailureKind {
    FailureKind::TooLarge {
        what: "the body of the answer",
        limit: limits.body,
    }
}

/// Never trusts the stream's own idea of its size.
pub(super) fn decompress(body: &[u8], limits: &Limits) -> Result<Vec<u8>, FailureKind> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(body)
        .take(limits.body as u64 + 1)
        .read_to_end(&mut out)
        .map_err(|_| FailureKind::Malformed("the gzip data are broken"))?;
    if out.len() > limits.body {
        return Err(too_large(limits));
    }
    Ok(out)
}

impl Parser {
    pub(super) fn new(is_options: bool) -> Self {
        Self {
            is_options,
            ..Self::default()
        }
    }
}
