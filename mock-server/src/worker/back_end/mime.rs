//! Messages as MIME, built from what the store keeps of them.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::SystemTime;

use eas::commands::Email;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use crate::body::HTML;
use crate::store::Blob;

/// What stands between the parts of a message: the same each time that the message is fetched, and
/// nothing that a part holds, so that a message can be a part of another one (RFC 2046 5.1.1).
fn boundary(email: &Email<'_>, attachments: &[Blob]) -> String {
    let mut parts = vec![email.body.as_bytes()];
    parts.extend(attachments.iter().map(|blob| blob.data.as_slice()));
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|part| hasher.write(part));
    free_boundary(&parts, hasher.finish())
}

/// The first boundary from that number on that no part holds.
fn free_boundary(parts: &[&[u8]], mut number: u64) -> String {
    loop {
        let boundary = format!("_000_{number:016x}_");
        let is_here = |piece: &[u8]| piece == boundary.as_bytes();
        if !parts
            .iter()
            .any(|part| part.windows(boundary.len()).any(is_here))
        {
            return boundary;
        }
        number = number.wrapping_add(1);
    }
}

/// A message with these attachments.
pub(super) fn build(email: &Email<'_>, attachments: Vec<Blob>) -> String {
    let kind = match email.body_type {
        HTML => ContentType::TEXT_HTML,
        _ => ContentType::TEXT_PLAIN,
    };
    let text = SinglePart::builder()
        .header(kind)
        .body(email.body.to_string());
    // lettre wants a sender with a domain; the headers that count are set below.
    let Ok(address) = Address::new("mock", "localhost") else {
        return String::new();
    };
    let mailbox = Mailbox::new(None, address);
    let date = email.date_received.parse::<jiff::Timestamp>();
    let message = Message::builder()
        .from(mailbox.clone())
        .to(mailbox)
        .date(date.map_or(SystemTime::UNIX_EPOCH, SystemTime::from));
    let message = if attachments.is_empty() {
        message.singlepart(text)
    } else {
        let parts = MultiPart::mixed()
            .boundary(boundary(email, &attachments))
            .singlepart(text);
        let parts = attachments.into_iter().fold(parts, |parts, blob| {
            let kind = ContentType::parse(&blob.content_type);
            let kind = kind.unwrap_or(ContentType::TEXT_PLAIN);
            parts.singlepart(Attachment::new(blob.name).body(Body::new(blob.data), kind))
        });
        message.multipart(parts)
    };
    let Ok(mut message) = message else {
        return String::new();
    };
    for (name, value) in [
        (HeaderName::new_from_ascii_str("From"), &email.from),
        (HeaderName::new_from_ascii_str("To"), &email.to),
        (HeaderName::new_from_ascii_str("Cc"), &email.cc),
        (HeaderName::new_from_ascii_str("Subject"), &email.subject),
    ] {
        if value.is_empty() {
            message.headers_mut().remove_raw(&name);
        } else {
            let value = HeaderValue::new(name, without_line_ends(value));
            message.headers_mut().insert_raw(value);
        }
    }
    String::from_utf8_lossy(&message.formatted()).into_owned()
}

/// A text with a line end would start another header.
fn without_line_ends(text: &str) -> String {
    let lines: Vec<&str> = text
        .split(['\r', '\n'])
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::{MessageParser, MimeHeaders as _};

    #[test]
    fn a_message_is_read_back_with_its_attachments() {
        let email = Email {
            from: "\"Ä\" <load1@lab.example>".into(),
            to: "load2@lab.example, load3@lab.example".into(),
            subject: "Grüße\r\nBcc: x@lab.example".into(),
            date_received: "2026-03-14T03:00:00.000Z".into(),
            body: "<b>größer</b>".into(),
            body_type: HTML,
            ..Email::default()
        };
        let blob = Blob {
            name: "ä.bin".to_owned(),
            content_type: "application/x-test".to_owned(),
            data: vec![0, 255, 13, 10],
        };
        let built = build(&email, vec![blob.clone()]);
        assert_eq!(built, build(&email, vec![blob]), "always the same");
        assert!(built.is_ascii());
        let message = MessageParser::default().parse(built.as_bytes()).unwrap();
        let from = message.from().unwrap().first().unwrap();
        assert_eq!(from.address(), Some("load1@lab.example"));
        assert_eq!(message.to().unwrap().iter().count(), 2);
        assert_eq!(message.subject(), Some("Grüße Bcc: x@lab.example"));
        assert!(message.bcc().is_none() && message.cc().is_none());
        assert_eq!(message.date().unwrap().to_timestamp(), 1_773_457_200);
        assert_eq!(message.body_html(0).unwrap(), "<b>größer</b>");
        let attached = message.attachment(0).unwrap();
        assert_eq!(attached.attachment_name(), Some("ä.bin"));
        assert_eq!(attached.contents(), [0, 255, 13, 10]);
    }

    #[test]
    fn a_message_can_hold_messages_that_the_mock_has_built() {
        let blob = |data: String| Blob {
            name: "letter.eml".to_owned(),
            content_type: "application/octet-stream".to_owned(),
            data: data.into_bytes(),
        };
        let email = |body: String| Email {
            body: body.into(),
            ..Email::default()
        };
        let mut built = build(&email("text".to_owned()), vec![blob("a file".to_owned())]);
        for _ in 0..3 {
            // As a file, and as the text before it.
            let outer = build(&email(built.clone()), vec![blob(built.clone())]);
            let message = MessageParser::default().parse(outer.as_bytes()).unwrap();
            assert_eq!(message.parts.len(), 3, "{outer}");
            let attached = message.attachment(0).unwrap();
            assert_eq!(attached.contents(), built.as_bytes());
            assert_eq!(message.body_text(0).unwrap(), built);
            built = outer;
        }
    }

    #[test]
    fn a_boundary_that_a_part_holds_is_not_taken() {
        let boundary = |number: u64| format!("_000_{number:016x}_");
        let last = format!("--{}\r\n", boundary(u64::MAX));
        let first = format!("--{}--", boundary(0));
        for (parts, number, free) in [
            (vec![], 7, 7),
            (vec![&*last, &*first], 7, 7),
            (vec![&*last], u64::MAX, 0),
            (vec!["text", &*first, &*last], u64::MAX, 1),
        ] {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(free_boundary(&parts, number), boundary(free));
        }
    }

    #[test]
    fn a_message_without_attachments_has_one_part() {
        let email = Email {
            body: "text".into(),
            ..Email::default()
        };
        let built = build(&email, Vec::new());
        let message = MessageParser::default().parse(built.as_bytes()).unwrap();
        assert_eq!(message.body_text(0).unwrap().trim_end(), "text");
        assert_eq!((message.parts.len(), message.from()), (1, None));
    }
}
