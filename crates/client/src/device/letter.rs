//! Messages that users write: text, an attachment, a call to a meeting.

use icalendar::{Calendar, Component as _, Event, EventLike as _};
use lettre::message::header::ContentType;
use lettre::message::{Attachment, MultiPart, SinglePart};

/// What begins the subject of every message that activity writes: such mails, and no others, are
/// deleted and moved, because every device of a user must get the scenario's own.
pub(super) const SUBJECT: &str = "easload activity";
/// Name of an attachment, before its size in bytes.
const ATTACHMENT: &str = "easload-";

/// Bytes of the largest attachment: a slide or two.
pub(super) const LARGEST: usize = 64 << 10;

/// A message to another user.
pub(super) struct Message<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) number: u32,
    pub(super) text: String,
    pub(super) enclosed: Enclosed,
}

/// What goes along with a text.
pub(super) enum Enclosed {
    Nothing,
    /// An attachment of so many bytes.
    Attachment(usize),
    /// A call to a meeting, so many seconds from now.
    Meeting(i64),
}

impl Message<'_> {
    /// As RFC 5322 bytes.
    ///
    /// # Errors
    /// When an address is none.
    pub(super) fn mime(self) -> Result<Vec<u8>, String> {
        let address = |text: &str| {
            let parsed = text.parse();
            parsed.map_err(|_| format!("`{text}` is no mail address"))
        };
        let subject = format!("{SUBJECT} {}", self.number);
        let message = lettre::Message::builder()
            .from(address(self.from)?)
            .to(address(self.to)?)
            .subject(&subject);
        let text = SinglePart::plain(self.text);
        let built = match self.enclosed {
            Enclosed::Nothing => message.singlepart(text),
            Enclosed::Attachment(size) => {
                let kind = ContentType::parse("application/octet-stream");
                let kind = kind.map_err(|error| error.to_string())?;
                let attachment = Attachment::new(attachment_name(size)).body(content(size), kind);
                message.multipart(MultiPart::mixed().singlepart(text).singlepart(attachment))
            }
            Enclosed::Meeting(start) => {
                let kind = ContentType::parse("text/calendar; method=REQUEST; charset=utf-8");
                let kind = kind.map_err(|error| error.to_string())?;
                let calendar = meeting(&subject, self.from, self.to, start);
                let part = SinglePart::builder().header(kind).body(calendar);
                message.multipart(MultiPart::alternative().singlepart(text).singlepart(part))
            }
        };
        let built = built.map_err(|error| error.to_string())?;
        Ok(built.formatted())
    }
}

fn attachment_name(size: usize) -> String {
    format!("{ATTACHMENT}{size}.bin")
}

/// How large an attachment of that name is, if easload made it: a server may say anything.
pub(super) fn attachment_size(name: &str) -> Option<usize> {
    let rest = name.strip_prefix(ATTACHMENT)?;
    let size = rest.strip_suffix(".bin")?.parse().ok()?;
    (size <= LARGEST).then_some(size)
}

/// What an attachment of that size holds: no byte like the one before, and no text, so that every step
/// of its way has to carry it faithfully.
pub(super) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// A call to a meeting of half an hour (RFC 5546 3.2.2).
fn meeting(subject: &str, from: &str, to: &str, start: i64) -> String {
    const HALF_AN_HOUR: i64 = 1800;
    let now = jiff::Timestamp::now();
    let time = |seconds: i64| {
        let at = now.checked_add(jiff::SignedDuration::from_secs(seconds));
        at.unwrap_or(now).strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let mut event = Event::new();
    event
        .uid(&format!("{}-{from}", now.as_nanosecond()))
        .summary(subject)
        .add_property("DTSTAMP", time(0))
        .add_property("DTSTART", time(start))
        .add_property("DTEND", time(start + HALF_AN_HOUR))
        .add_property("ORGANIZER", format!("mailto:{from}"))
        .add_property("ATTENDEE", format!("mailto:{to}"))
        .location("Room 1");
    let mut calendar = Calendar::new();
    calendar.append_property(("METHOD", "REQUEST"));
    calendar.push(event.done());
    calendar.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(enclosed: Enclosed) -> String {
        let letter = Message {
            from: "a@lab.example",
            to: "b@lab.example",
            number: 7,
            text: "Hello".to_owned(),
            enclosed,
        };
        String::from_utf8(letter.mime().unwrap()).unwrap()
    }

    #[test]
    fn letters_have_what_they_should() {
        let plain = letter(Enclosed::Nothing);
        assert!(plain.contains("Subject: easload activity 7\r\n"), "{plain}");
        let attached = letter(Enclosed::Attachment(100));
        assert!(attached.contains("easload-100.bin"), "{attached}");
        let meeting = letter(Enclosed::Meeting(3600));
        assert!(meeting.contains("METHOD:REQUEST"), "{meeting}");
        assert_eq!(attachment_size("easload-100.bin"), Some(100));
        for name in [
            "photo.bin",
            "easload-65537.bin",
            "easload-18446744073709551615.bin",
        ] {
            assert_eq!(attachment_size(name), None, "{name}");
        }
    }

    #[test]
    fn a_wrong_address_is_named() {
        let letter = Message {
            from: "a@lab.example",
            to: "nobody",
            number: 1,
            text: String::new(),
            enclosed: Enclosed::Nothing,
        };
        assert_eq!(letter.mime().unwrap_err(), "`nobody` is no mail address");
    }
}
