//! Names that EAS gives to things in HTTP (ASHTTP 2.2.1.1 and 2.2.2.1).

/// The path of the EAS virtual directory.
pub const PATH: &str = "/Microsoft-Server-ActiveSync";

/// Request header: the protocol version, with a plain query only.
pub const PROTOCOL_VERSION: &str = "MS-ASProtocolVersion";
/// Request header: the current policy key. Not sent on Ping, Autodiscover and OPTIONS (ASPROV
/// 3.1.5.1).
pub const POLICY_KEY: &str = "X-MS-PolicyKey";
/// Request header, with a plain query only: `T` asks for the answer of ItemOperations in several parts.
pub const ACCEPT_MULTIPART: &str = "MS-ASAcceptMultiPart";
/// Answer header: the versions a server speaks.
pub const PROTOCOL_VERSIONS: &str = "MS-ASProtocolVersions";
/// Answer header: the commands a server speaks.
pub const PROTOCOL_COMMANDS: &str = "MS-ASProtocolCommands";
/// Answer header: the server's own version.
pub const SERVER_VERSION: &str = "MS-Server-ActiveSync";
/// Answer header with HTTP 451: the URL to use from now on.
pub const LOCATION: &str = "X-MS-Location";
/// Answer header: the server's protocol versions changed; resynchronise unless this answers a
/// FolderSync with key 0 (ASHTTP 3.1.5.1).
pub const RESYNC_VERSIONS: &str = "X-MS-RP";

/// Whether a body is a web page, as login pages, proxies and web servers send in place of an
/// answer: markup that is not an XML document, or an XML document with an `html` element.
#[must_use]
pub fn is_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let body = body.trim_ascii_start();
    body.starts_with(b"<") && (!body.starts_with(b"<?xml") || has_html_element(body))
}

/// Whether a body has a tag that only web pages begin with, where XML of another kind may be
/// expected.
#[must_use]
pub fn has_html_element(body: &[u8]) -> bool {
    /// Only comments and a document type come before the element.
    const SEARCHED: usize = 1024;
    let start = body[..body.len().min(SEARCHED)].to_ascii_lowercase();
    let has = |part: &[u8]| start.windows(part.len()).any(|window| window == part);
    [&b"<!doctype html"[..], b"<html", b"<head>", b"<body>"]
        .into_iter()
        .any(has)
}

/// Whether a Content-Type says that the body is a web page.
#[must_use]
pub fn is_html_type(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|html| media_type.eq_ignore_ascii_case(html))
}

/// Media type of every WBXML body.
pub const WBXML: &str = "application/vnd.ms-sync.wbxml";
/// Media type of an ItemOperations answer in several parts (ASCMD 2.2.1.10.1).
pub const MULTIPART: &str = "application/vnd.ms-sync.multipart";
/// Media type of SendMail up to 12.1.
pub const MIME: &str = "message/rfc822";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_pages_are_told_from_other_bodies() {
        assert!(has_html_element(b"<!-- x --><HTML lang='de'>"));
        assert!(!has_html_element(b"<Autodiscover><Header/></Autodiscover>"));
        for page in [
            "<html><body>Sign in</body></html>",
            "<!DOCTYPE html>\n<HTML>",
            "\u{feff}\r\n  <!-- proxy --><head>",
            "<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x'><html xmlns='y'>",
            "<h1>502 Bad Gateway</h1>",
        ] {
            assert!(is_html(page.as_bytes()), "{page}");
        }
        for other in [
            "",
            "\u{3}\u{1}j\0<html>",
            "502 Bad Gateway <html>",
            "{\"Url\":1}",
            "<?xml version='1.0'?><Autodiscover/>",
        ] {
            assert!(!is_html(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn content_types_of_web_pages_are_known_in_any_letter_case() {
        for html in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "application/xhtml+xml",
        ] {
            assert!(is_html_type(html), "{html}");
        }
        for other in [
            "",
            "text/html5",
            "text/xml",
            WBXML,
            "application/json; q=text/html",
        ] {
            assert!(!is_html_type(other), "{other}");
        }
    }
}
