//! Requests and answers as text that can go into a ticket: bodies as XML, secrets masked.

use std::fmt::Write as _;
use std::time::Duration;

use client::transport::{Method, Peer};
use eas::http::is_html_type;
use eas::query::Query;
use eas::wbxml::{DecodeErrorKind, to_xml};
use text::clean;

use super::tap::{Received, Sent};

/// Headers whose value is a secret, or leads to one.
const SECRET: [&str; 4] = [
    "authorization",
    "cookie",
    "set-cookie",
    "x-ms-credential-service-url",
];
/// Bytes of a body that is no WBXML that are shown: enough to see whose error page it is.
const MAX_TEXT: usize = 2000;
/// Lines of a body that are shown; a hierarchy of 1,000 folders helps nobody.
const MAX_LINES: usize = 400;

/// What a request is called: its command, or its method.
pub(super) fn name(sent: &Sent) -> String {
    let command = sent
        .path
        .split_once('?')
        // The URL's own query comes first, if it has one.
        .and_then(|(_, query)| {
            let last = query.rsplit('&').next().unwrap_or_default();
            Query::parse(query).or_else(|_| Query::parse(last)).ok()
        });
    match command {
        Some(query) => query.command.to_string(),
        None => sent.method.as_str().to_owned(),
    }
}

pub(super) fn request(number: usize, sent: &Sent, bodies: bool) -> String {
    let mut out = format!("\n{number:>2}  {}\n", name(sent));
    line(
        &mut out,
        '>',
        &format!("{} {}", sent.method.as_str(), sent.path),
    );
    for (name, value) in &sent.headers {
        header(&mut out, '>', name, value);
    }
    if bodies {
        body(&mut out, '>', &sent.body, false);
    }
    if let Some(connect) = sent.begun.and_then(|begun| begun.connect) {
        connection(&mut out, sent, connect);
    }
    out
}

fn connection(out: &mut String, sent: &Sent, connect: Duration) {
    let Peer {
        address,
        cipher,
        certificate,
    } = &sent.peer;
    let mut text = format!("new connection: TCP {}", time(connect));
    if let Some(address) = address {
        let _ = write!(text, " to {address}");
    }
    if let Some(tls) = sent.begun.and_then(|begun| begun.tls) {
        let _ = write!(text, ", TLS {} {}", tls.version, time(tls.took));
        if let Some(cipher) = cipher {
            let _ = write!(text, ", {cipher}");
        }
        text.push_str(if tls.resumed { ", session resumed" } else { "" });
    }
    line(out, '*', &text);
    if let Some(certificate) = certificate {
        line(out, '*', &format!("certificate: {certificate}"));
    }
}

pub(super) fn answer(received: &Received, method: Method, bodies: bool) -> String {
    let mut out = String::new();
    match &received.answer {
        Ok(answer) => {
            let size = answer.body.len();
            let after = time(received.after);
            line(
                &mut out,
                '<',
                &format!("HTTP {} after {after}, {size} bytes", answer.status),
            );
            for (name, value) in answer.headers() {
                header(&mut out, '<', &name, &value);
            }
            // An error's page says whose it is; the page of a good answer to OPTIONS says nothing.
            if bodies && (answer.status != 200 || method != Method::Options) {
                let is_html = answer.header("Content-Type").is_some_and(is_html_type);
                body(&mut out, '<', &answer.body, is_html);
            }
        }
        Err(failure) => {
            let after = time(received.after);
            line(&mut out, '!', &format!("{failure} (after {after})"));
        }
    }
    out
}

/// A remark between request and answer.
pub(super) fn note(text: &str) -> String {
    let mut out = String::new();
    line(&mut out, '*', text);
    out
}

pub(super) fn time(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1e3)
}

fn line(out: &mut String, mark: char, text: &str) {
    let text = clean(text);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "    {mark} {text}");
}

fn header(out: &mut String, mark: char, name: &str, value: &str) {
    let is_secret = SECRET
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret));
    let value = match value.split_once(' ') {
        // The scheme says what kind of credentials they are.
        Some((scheme, _)) if is_secret && name.eq_ignore_ascii_case("authorization") => {
            format!("{scheme} ***")
        }
        _ if is_secret => "***".to_owned(),
        _ => value.to_owned(),
    };
    line(out, mark, &format!("{name}: {value}"));
}

/// `is_html` says that the Content-Type calls it a web page.
fn body(out: &mut String, mark: char, bytes: &[u8], is_html: bool) {
    if bytes.is_empty() {
        return;
    }
    let text = to_xml(bytes).unwrap_or_else(|error| {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT)]);
        if is_html || error.kind == DecodeErrorKind::Html {
            format!("(an HTML page)\n{shown}")
        } else {
            format!("(no WBXML: {error})\n{shown}")
        }
    });
    let lines: Vec<&str> = text.lines().collect();
    for text in lines.iter().take(MAX_LINES) {
        line(out, mark, text);
    }
    if lines.len() > MAX_LINES {
        line(
            out,
            mark,
            &format!("({} more lines)", lines.len() - MAX_LINES),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_control_characters_too() {
        let mut out = String::new();
        for (name, value) in [
            ("Authorization", "Basic bG9hZDE6aHVzaA=="),
            ("authorization", "Bearer abc.def"),
            ("Set-Cookie", "X-BackEndCookie=hush; path=/"),
            ("Server", "Microsoft-IIS/10.0\u{1b}[2J"),
        ] {
            header(&mut out, '<', name, value);
        }
        assert_eq!(
            out,
            "    < Authorization: Basic ***\n    < authorization: Bearer ***\n    < Set-Cookie: ***\n    \
             < Server: Microsoft-IIS/10.0\u{fffd}[2J\n"
        );
    }

    #[test]
    fn a_body_that_is_no_wbxml_is_shown_and_named() {
        for (bytes, is_html, shown) in [
            (
                &b"<html>proxy error</html>"[..],
                false,
                "(an HTML page)\n    < <html>proxy error</html>",
            ),
            (
                b"502 bad gateway",
                true,
                "(an HTML page)\n    < 502 bad gateway",
            ),
            (
                b"502 bad gateway",
                false,
                "(no WBXML: not WBXML: expected a version byte 01 to 03, found 0x35 (byte 0 of the body))\n    \
                 < 502 bad gateway",
            ),
        ] {
            let mut page = String::new();
            body(&mut page, '<', bytes, is_html);
            assert_eq!(page, format!("    < {shown}\n"));
        }
    }
}
