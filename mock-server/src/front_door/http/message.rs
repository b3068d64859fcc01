//! HTTP/1.1 requests as HTTP.sys reads them. Pure: bytes in, a request or a refusal out, so that
//! hostile bytes can be thrown at it without a network.

use crate::headers::RequestHeader;
use crate::link::MAX_BODY;

/// Request line and headers; HTTP.sys allows 16 kB each by default.
pub(super) const MAX_HEAD: usize = 32 << 10;
/// More headers than any client sends; HTTP.sys bounds their bytes, not their number.
const MAX_HEADERS: usize = 100;
/// A chunk's size line: sixteen hex digits and some extension.
const MAX_CHUNK_LINE: usize = 256;

/// Why HTTP.sys refuses a request before any application sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The method is no token.
    Verb,
    /// The target is no URL.
    Url,
    /// A header is malformed, or framing headers contradict each other.
    Header,
    /// HTTP/1.1 without Host, several of them, or one that is no host (RFC 9112 3.2).
    Hostname,
    /// Head above 32 KiB.
    TooLong,
    /// Neither HTTP/1.0 nor 1.1.
    Version,
    /// A chunked body that is none.
    Body,
    /// Above `maxRequestLength`.
    TooLarge,
}

/// How the body's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A request's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) uri: String,
    /// Those that an application looks at.
    pub(crate) headers: Vec<(RequestHeader, String)>,
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    /// HTTP/1.0.
    pub(crate) is_old: bool,
    pub(crate) expects_continue: bool,
    /// Bytes of the head.
    pub(crate) length: usize,
}

impl Head {
    pub(crate) fn header(&self, wanted: RequestHeader) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| *header == wanted)
            .map(|(_, value)| value.as_str())
    }
}

/// Reads a head; `None` while it is incomplete.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > MAX_HEAD => return Err(Refusal::TooLong),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(refusal(error, request.method.is_some())),
    };
    if length > MAX_HEAD {
        return Err(Refusal::TooLong);
    }
    let method = request.method.unwrap_or_default().to_owned();
    let uri = origin_form(request.path.unwrap_or_default())?;
    let wanted = |header: &httparse::Header<'_>| {
        let value = String::from_utf8_lossy(header.value).trim().to_owned();
        Some((RequestHeader::named(header.name)?, value))
    };
    let mut head = Head {
        method,
        uri,
        headers: request.headers.iter().filter_map(wanted).collect(),
        framing: Framing::Length(0),
        keep_alive: request.version == Some(1),
        is_old: request.version == Some(0),
        expects_continue: false,
        length,
    };
    frame(&mut head, request.headers)?;
    check_host(&head, request.headers)?;
    Ok(Some(head))
}

/// HTTP/1.1 needs exactly one Host, HTTP/1.0 may have one (RFC 9112 3.2).
fn check_host(head: &Head, headers: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    let mut hosts = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, _) if head.is_old => Ok(()),
        (Some(host), None) if is_host(host.value.trim_ascii()) => Ok(()),
        _ => Err(Refusal::Hostname),
    }
}

/// `uri-host [ ":" port ]`; the host may be empty (RFC 9112 3.2, RFC 3986 3.2.2).
fn is_host(value: &[u8]) -> bool {
    let is_port = |port: &[u8]| port.iter().all(u8::is_ascii_digit);
    let (host, port) = match value.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else {
                return false;
            };
            let is_address = |byte: &u8| byte.is_ascii_alphanumeric() || b":.%-_~".contains(byte);
            if end == 0 || !rest[..end].iter().all(is_address) {
                return false;
            }
            (&[][..], &rest[end + 1..])
        }
        None => {
            let end = value.iter().position(|byte| *byte == b':');
            value.split_at(end.unwrap_or(value.len()))
        }
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(byte);
    host.iter().all(is_name)
        && match port {
            [] => true,
            [b':', digits @ ..] => is_port(digits),
            _ => false,
        }
}

fn refusal(error: httparse::Error, has_method: bool) -> Refusal {
    match error {
        httparse::Error::Token if !has_method => Refusal::Verb,
        httparse::Error::Token => Refusal::Url,
        httparse::Error::Version => Refusal::Version,
        httparse::Error::TooManyHeaders => Refusal::TooLong,
        _ => Refusal::Header,
    }
}

/// `http://host/path?query` is the same as `/path?query` (RFC 9112 3.2.2).
fn origin_form(target: &str) -> Result<String, Refusal> {
    if target.starts_with('/') || target == "*" {
        return Ok(target.to_owned());
    }
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| {
            let start = target.get(..scheme.len())?;
            start
                .eq_ignore_ascii_case(scheme)
                .then(|| &target[scheme.len()..])
        })
        .ok_or(Refusal::Url)?;
    let path = rest.find('/').map_or("/", |slash| &rest[slash..]);
    Ok(path.to_owned())
}

/// Works out the framing headers. Whatever could be read in two ways is refused: that is how
/// requests are smuggled through proxies.
fn frame(head: &mut Head, headers: &[httparse::Header<'_>]) -> Result<(), Refusal> {
    let (mut length, mut chunked) = (None, false);
    for header in headers {
        let name = header.name;
        let value = String::from_utf8_lossy(header.value);
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Refusal::Header);
            }
            let value: u64 = value.parse().map_err(|_| Refusal::TooLarge)?;
            if length.is_some_and(|other| other != value) {
                return Err(Refusal::Header);
            }
            length = Some(value);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !value.eq_ignore_ascii_case("chunked") {
                return Err(Refusal::Header);
            }
            chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            for option in value.split(',').map(str::trim) {
                if option.eq_ignore_ascii_case("close") {
                    head.keep_alive = false;
                } else if option.eq_ignore_ascii_case("keep-alive") {
                    head.keep_alive = true;
                }
            }
        } else if name.eq_ignore_ascii_case("expect") {
            head.expects_continue = value.eq_ignore_ascii_case("100-continue");
        }
    }
    head.framing = match (length, chunked) {
        (Some(_), true) => return Err(Refusal::Header),
        (None, true) => Framing::Chunked,
        (length, false) => Framing::Length(length.unwrap_or(0)),
    };
    if matches!(head.framing, Framing::Length(length) if length > MAX_BODY) {
        return Err(Refusal::TooLarge);
    }
    Ok(())
}

/// A chunked body on its way.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    pub(crate) body: Vec<u8>,
    is_last_seen: bool,
}

impl Chunks {
    /// Takes complete chunks from the front of `bytes`; whether the body is complete.
    pub(crate) fn feed(&mut self, bytes: &mut Vec<u8>) -> Result<bool, Refusal> {
        let mut at = 0;
        let complete = self.take(bytes, &mut at);
        bytes.drain(..at);
        complete
    }

    fn take(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Refusal> {
        while !self.is_last_seen {
            let rest = &bytes[*at..];
            let Some(line) = rest.windows(2).position(|pair| pair == b"\r\n") else {
                return if rest.len() > MAX_CHUNK_LINE {
                    Err(Refusal::Body)
                } else {
                    Ok(false)
                };
            };
            let size = chunk_size(&rest[..line])?;
            if size + self.body.len() as u64 > MAX_BODY {
                return Err(Refusal::TooLarge);
            }
            let start = line + 2;
            if size == 0 {
                self.is_last_seen = true;
                *at += start;
                break;
            }
            let size = size as usize;
            let Some(chunk) = rest.get(start..start + size + 2) else {
                return Ok(false);
            };
            if &chunk[size..] != b"\r\n" {
                return Err(Refusal::Body);
            }
            self.body.extend_from_slice(&chunk[..size]);
            *at += start + size + 2;
        }
        let end = trailers(&bytes[*at..])?;
        *at += end.unwrap_or(0);
        Ok(end.is_some())
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, Refusal> {
    let text = std::str::from_utf8(line).map_err(|_| Refusal::Body)?;
    let digits = text.split(';').next().unwrap_or_default().trim();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Refusal::Body);
    }
    match u64::from_str_radix(digits, 16) {
        Ok(size) if size <= MAX_BODY => Ok(size),
        _ => Err(Refusal::TooLarge),
    }
}

/// Passes over trailer fields to the empty line.
fn trailers(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        match rest.windows(2).position(|pair| pair == b"\r\n") {
            Some(0) => return Ok(Some(at + 2)),
            Some(line) => at += line + 2,
            None if bytes.len() > MAX_HEAD => return Err(Refusal::TooLong),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<Head>, Refusal> {
        parse_head(text.as_bytes())
    }

    #[test]
    fn ordinary_requests() {
        let text = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let parsed = head(text).unwrap().unwrap();
        assert_eq!(
            (parsed.method.as_str(), parsed.uri.as_str()),
            ("POST", "/a?b=c")
        );
        assert_eq!(parsed.framing, Framing::Length(3));
        assert!(parsed.keep_alive);
        assert_eq!(&text[parsed.length..], "abc");
        assert_eq!(head(&text[..20]), Ok(None));
        let old = head("GET http://host:80/x HTTP/1.0\r\n\r\n")
            .unwrap()
            .unwrap();
        assert!(!old.keep_alive && old.uri == "/x");
    }

    #[test]
    fn whatever_can_be_read_in_two_ways_is_refused() {
        for (headers, expected) in [
            (
                "Content-Length: 3\r\nContent-Length: 4\r\n",
                Refusal::Header,
            ),
            (
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                Refusal::Header,
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", Refusal::Header),
            ("Content-Length: +3\r\n", Refusal::Header),
            ("Content-Length: -1\r\n", Refusal::Header),
            (
                "Content-Length: 99999999999999999999\r\n",
                Refusal::TooLarge,
            ),
            ("Content-Length: 10485761\r\n", Refusal::TooLarge),
            ("A b: c\r\n", Refusal::Header),
        ] {
            let text = format!("POST / HTTP/1.1\r\n{headers}\r\n");
            assert_eq!(head(&text), Err(expected), "{headers}");
        }
        assert_eq!(head("P{}ST / HTTP/1.1\r\n\r\n"), Err(Refusal::Verb));
        assert_eq!(head("POST / HTTP/3.0\r\n\r\n"), Err(Refusal::Version));
        assert_eq!(head("POST ftp://x HTTP/1.1\r\n\r\n"), Err(Refusal::Url));
        let long = format!("GET / HTTP/1.1\r\nA: {}", "x".repeat(MAX_HEAD));
        assert_eq!(head(&long), Err(Refusal::TooLong));
    }

    #[test]
    fn http_1_1_needs_exactly_one_host() {
        for (version, headers, expected) in [
            ("1.1", "Host: mail.lab.example\r\n", Ok(())),
            ("1.1", "hOST:mail.lab.example:443\r\n", Ok(())),
            ("1.1", "Host: 127.0.0.1:8480\r\n", Ok(())),
            ("1.1", "Host: [::1]:8480\r\n", Ok(())),
            ("1.1", "Host: [fe80::1%25eth0]\r\n", Ok(())),
            ("1.1", "Host: mail_1.lab.example\r\n", Ok(())),
            ("1.1", "Host:\r\n", Ok(())),
            ("1.0", "", Ok(())),
            ("1.0", "Host: a\r\n", Ok(())),
            ("1.1", "", Err(Refusal::Hostname)),
            ("1.1", "X-Host: a\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: a\r\nHost: a\r\n", Err(Refusal::Hostname)),
            (
                "1.1",
                "Host: a\r\nA: b\r\nhost: b\r\n",
                Err(Refusal::Hostname),
            ),
            ("1.0", "Host: a\r\nHost: b\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: a b\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: a/b\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: user@a\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: a:port\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: a:1:2\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: [::1\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: []\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: [::1]x\r\n", Err(Refusal::Hostname)),
            ("1.1", "Host: \u{fc}ber\r\n", Err(Refusal::Hostname)),
        ] {
            let text = format!("GET / HTTP/{version}\r\n{headers}\r\n");
            let parsed = head(&text).map(|head| assert!(head.is_some()));
            assert_eq!(parsed, expected, "HTTP/{version} {headers:?}");
        }
        // The target's own host stands in for none.
        let absolute = head("GET http://mail.lab.example/ HTTP/1.1\r\n\r\n");
        assert_eq!(absolute, Err(Refusal::Hostname));
    }

    #[test]
    fn chunks() {
        let body = b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\nrest";
        // In one piece, and byte by byte.
        let mut bytes = body.to_vec();
        let mut chunks = Chunks::default();
        assert_eq!(chunks.feed(&mut bytes), Ok(true));
        assert_eq!(
            (chunks.body.as_slice(), bytes.as_slice()),
            (&b"abcde"[..], &b"rest"[..])
        );
        let (mut chunks, mut bytes) = (Chunks::default(), Vec::new());
        for (index, byte) in body[..body.len() - 4].iter().enumerate() {
            bytes.push(*byte);
            assert_eq!(
                chunks.feed(&mut bytes),
                Ok(index == body.len() - 5),
                "{index}"
            );
        }
        assert_eq!(chunks.body, b"abcde");
        for (hostile, expected) in [
            (&b"x\r\n"[..], Refusal::Body),
            (b"1\r\nabc", Refusal::Body),
            (b"ffffffffffffffff\r\n", Refusal::TooLarge),
            (b"fffffffffffffffffff\r\n", Refusal::TooLarge),
        ] {
            assert_eq!(Chunks::default().feed(&mut hostile.to_vec()), Err(expected));
        }
    }
}
