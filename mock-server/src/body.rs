//! Bodies of messages: from one form to another (ASAIRS 2.2.2.41, Type).

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use eas::commands::{Body, Email, ItemData};
use mail_parser::MessageParser;
use mail_parser::decoders::html::add_html_token;

/// Plain text.
pub(crate) const PLAIN: u8 = 1;
/// HTML.
pub(crate) const HTML: u8 = 2;
/// Rich text, in base64.
pub(crate) const RTF: u8 = 3;
/// A whole message with its headers and attachments (RFC 5322, RFC 2045).
pub(crate) const MIME: u8 = 4;

/// MessageClass of an encrypted message, and the start of that of a signed one (MS-OXCMSG 2.2.1.3).
const SMIME: &str = "IPM.Note.SMIME";

/// Whether a message is signed or encrypted. Its body is stored as MIME: another form of it would break
/// the signature.
pub(crate) fn is_smime(email: &Email<'_>) -> bool {
    email.message_class.starts_with(SMIME)
}

/// The body in plain text.
pub(crate) fn text<'e>(email: &'e Email<'_>) -> Cow<'e, str> {
    to_text(email.body_type, &email.body)
}

/// A body of that type in plain text.
pub(crate) fn to_text(body_type: u8, body: &str) -> Cow<'_, str> {
    match body_type {
        HTML => Cow::Owned(without_nul(html_to_text(body))),
        MIME => {
            let parsed = MessageParser::default().parse(body.as_bytes());
            let text = parsed.and_then(|parsed| Some(parsed.body_text(0)?.into_owned()));
            Cow::Owned(without_nul(text.unwrap_or_default()))
        }
        _ => Cow::Borrowed(body),
    }
}

/// A body of that type in HTML.
pub(crate) fn to_html(body_type: u8, body: &str) -> Cow<'_, str> {
    match body_type {
        HTML => Cow::Borrowed(body),
        _ => Cow::Owned(text_to_html(&to_text(body_type, body))),
    }
}

/// The body of an item that is no message.
pub(crate) fn notes<'d, 't>(data: &'d mut ItemData<'t>) -> Option<&'d mut Body<'t>> {
    Some(match data {
        ItemData::Calendar(appointment) => &mut appointment.body,
        ItemData::Contact(contact) => &mut contact.body,
        ItemData::Task(task) => &mut task.body,
        ItemData::Note(note) => &mut note.body,
        ItemData::Email(_) | ItemData::Other => return None,
    })
}

/// HTML that shows that text. mail-parser's function of this name does not escape `&`.
pub(crate) fn text_to_html(text: &str) -> String {
    let mut html = String::from("<html><body>");
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\n' => html.push_str("<br>\n"),
            '\r' => {}
            letter => html.push(letter),
        }
    }
    html.push_str("</body></html>");
    html
}

/// The text that HTML shows. mail-parser's function of this name loses the space behind an element.
fn html_to_text(html: &str) -> String {
    /// Elements whose content is not shown.
    const HIDDEN: [&str; 4] = ["head", "script", "style", "title"];
    /// Elements that begin a line.
    const BLOCKS: [&str; 17] = [
        "blockquote",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "table",
        "td",
        "tr",
        "ul",
    ];
    // Of the same length, so that positions are those of both.
    let lower = html.to_ascii_lowercase();
    let mut text = String::new();
    let mut at = 0;
    while let Some(start) = lower[at..].find('<').map(|found| at + found) {
        add_words(&mut text, &html[at..start]);
        let (end, after) = match lower[start..].starts_with("<!--") {
            true => ("-->", start + "<!--".len()),
            false => (">", start + 1),
        };
        let Some(found) = lower[after..].find(end) else {
            return text;
        };
        let tag = &lower[after..after + found];
        at = after + found + end.len();
        let name = tag.trim_start_matches('/');
        let name = name
            .split(|one: char| !one.is_ascii_alphanumeric())
            .next()
            .unwrap_or_default();
        if HIDDEN.contains(&name) && !tag.starts_with('/') {
            let Some(found) = lower[at..].find(&format!("</{name}")) else {
                return text;
            };
            at += found;
        } else if name == "br" || BLOCKS.contains(&name) && !is_line_start(&text) {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
    }
    add_words(&mut text, &html[at..]);
    text.truncate(text.trim_end().len());
    text
}

fn is_line_start(text: &str) -> bool {
    text.is_empty() || text.ends_with('\n')
}

/// Adds words with one space between them, and the characters that entities stand for.
fn add_words(text: &mut String, piece: &str) {
    /// No entity is longer.
    const LONGEST: usize = 33;
    let mut rest = piece;
    while let Some(letter) = rest.chars().next() {
        let entity =
            (letter == '&').then(|| rest.bytes().take(LONGEST).position(|one| one == b';'));
        if let Some(Some(end)) = entity {
            add_html_token(text, &rest.as_bytes()[..=end], false);
            rest = &rest[end + 1..];
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        if !matches!(letter, ' ' | '\t' | '\r' | '\n') {
            text.push(letter);
        } else if !is_line_start(text) && !text.ends_with(' ') {
            text.push(' ');
        }
    }
}

/// Rich text that shows that text, in the uncompressed form of MS-OXRTFCP 2.2.1 and in base64.
pub(crate) fn rtf(text: &str) -> String {
    const UNCOMPRESSED: &[u8] = b"MELA";
    /// Bytes of the header that the first of its sizes counts.
    const COUNTED: usize = 12;
    let mut rtf = String::from(r"{\rtf1\ansi\uc1 ");
    for letter in text.chars() {
        match letter {
            '\\' | '{' | '}' => rtf.extend(['\\', letter]),
            '\n' => rtf.push_str("\\par\n"),
            '\r' => {}
            letter if letter.is_ascii() => rtf.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    // RTF has signed numbers of 16 bits. Writing to a String cannot fail.
                    let _ = write!(rtf, "\\u{}?", unit.cast_signed());
                }
            }
        }
    }
    rtf.push('}');
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = Vec::with_capacity(rtf.len() + COUNTED + 4);
    bytes.extend(size(rtf.len() + COUNTED));
    bytes.extend(size(rtf.len()));
    bytes.extend(UNCOMPRESSED);
    // The checksum of uncompressed text is zero.
    bytes.extend([0; 4]);
    bytes.extend(rtf.as_bytes());
    BASE64.encode(bytes)
}

/// The start of a text: at most that many bytes, and whole characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// An answer cannot hold a NUL, and `&#0;` is one.
fn without_nul(text: String) -> String {
    if text.contains('\0') {
        return text.replace('\0', "");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(body_type: u8, body: &str) -> Email<'_> {
        Email {
            body: body.into(),
            body_type,
            ..Email::default()
        }
    }

    #[test]
    fn plain_text_becomes_html_that_shows_the_same() {
        let shown = to_html(PLAIN, "a < b && c > d\r\n&lt;").into_owned();
        assert_eq!(
            shown,
            "<html><body>a &lt; b &amp;&amp; c &gt; d<br>\n&amp;lt;</body></html>"
        );
        assert_eq!(text(&email(HTML, &shown)), "a < b && c > d\n&lt;");
    }

    #[test]
    fn html_becomes_the_text_that_it_shows() {
        for (body, shown) in [
            ("<p>one</p><p>two</p>", "one\ntwo"),
            ("<b>one</b> <i>two</i>\r\n three", "one two three"),
            ("a<br><br/>b<DIV>c</DIV>", "a\n\nb\nc"),
            ("<!-- <p> -->a<!--", "a"),
            ("<HTML><Head><title>t</title></HEAD>b", "b"),
            ("a &unknown; &; & b &", "a &unknown; &; & b &"),
            ("a&nbsp;&#0;&amp;&#x20ac;", "a\u{a0}&€"),
            ("<style>p {}</style><b>x</b>", "x"),
            ("<", ""),
            ("", ""),
            ("no tags", "no tags"),
        ] {
            assert_eq!(text(&email(HTML, body)), shown, "{body}");
        }
    }

    #[test]
    fn rich_text_escapes_what_is_not_plain() {
        let bytes = BASE64.decode(rtf("a{\\é\u{1F600}\n")).unwrap();
        let content = r"{\rtf1\ansi\uc1 a\{\\\u233?\u-10179?\u-8704?\par";
        let content = format!("{content}\n}}");
        assert_eq!(bytes[16..], *content.as_bytes());
        assert_eq!(bytes[..4], (content.len() as u32 + 12).to_le_bytes());
        assert_eq!(bytes[4..8], (content.len() as u32).to_le_bytes());
        assert_eq!(bytes[8..16], *b"MELA\0\0\0\0");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (bytes, left) in [(0, ""), (1, ""), (2, "é"), (3, "é"), (5, "é€"), (9, "é€")] {
            assert_eq!(cut("é€", bytes), left, "{bytes}");
        }
    }
}
