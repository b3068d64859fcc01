//! What a search looks at in an item.

use eas::commands::{Body, ItemData};

use super::content::Content;
use crate::body;

/// A part of an item that a text can be restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Everything,
    Subject,
    Body,
    From,
    To,
    Cc,
    /// Sender and all recipients.
    Participants,
    /// The item's class.
    Kind,
}

/// A time as clients write it (ASDTYPE 2.3), or a day, in milliseconds since 1970.
pub(crate) fn unix_millis(text: &str) -> Option<i64> {
    use jiff::Timestamp;
    use jiff::civil::{Date, DateTime};
    use jiff::tz::TimeZone;
    let text = text.trim();
    let at_utc = |time: DateTime| TimeZone::UTC.to_timestamp(time).ok();
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| at_utc(text.parse::<DateTime>().ok()?));
    let time = time.or_else(|| at_utc(text.parse::<Date>().ok()?.to_datetime(Default::default())));
    time.map(Timestamp::as_millisecond)
}

/// What a search looks at in an item. Texts are in lower case.
pub(super) struct Searched {
    subject: String,
    body: String,
    from: String,
    to: String,
    cc: String,
    /// Texts that no restriction names.
    others: String,
    pub(super) class: &'static str,
    pub(super) received: Option<i64>,
    pub(super) has_attachment: bool,
    pub(super) is_read: bool,
}

impl Searched {
    pub(super) fn new(content: &Content, is_read: bool) -> Self {
        let data = &content.data;
        let mut item = Self {
            subject: String::new(),
            body: String::new(),
            from: String::new(),
            to: String::new(),
            cc: String::new(),
            others: String::new(),
            class: data.class().map_or("", |class| class.as_str()),
            received: None,
            has_attachment: !content.attachments.is_empty(),
            is_read,
        };
        match data {
            ItemData::Email(email) => {
                item.subject = email.subject.to_lowercase();
                item.body = body::text(email).to_lowercase();
                item.from = email.from.to_lowercase();
                item.to = email.to.to_lowercase();
                item.cc = email.cc.to_lowercase();
                item.received = unix_millis(&email.date_received);
            }
            ItemData::Calendar(appointment) => {
                item.subject = appointment.subject.to_lowercase();
                item.body = notes(&appointment.body);
                item.others = appointment.location.to_lowercase();
            }
            ItemData::Contact(contact) => {
                let texts = [
                    &contact.file_as,
                    &contact.first_name,
                    &contact.last_name,
                    &contact.email1,
                    &contact.company,
                ];
                let texts: Vec<&str> = texts.iter().map(|text| &***text).collect();
                item.others = texts.join("\n").to_lowercase();
            }
            ItemData::Task(task) => {
                item.subject = task.subject.to_lowercase();
                item.body = notes(&task.body);
            }
            ItemData::Note(note) => {
                item.subject = note.subject.to_lowercase();
                item.body = notes(&note.body);
            }
            ItemData::Other => {}
        }
        item
    }

    pub(super) fn holds(&self, part: Part, text: &str) -> bool {
        let held: &[&String] = match part {
            Part::Everything => &[
                &self.subject,
                &self.body,
                &self.from,
                &self.to,
                &self.cc,
                &self.others,
            ],
            Part::Subject => &[&self.subject],
            Part::Body => &[&self.body],
            Part::From => &[&self.from],
            Part::To => &[&self.to],
            Part::Cc => &[&self.cc],
            Part::Participants => &[&self.from, &self.to, &self.cc],
            Part::Kind => return self.class.eq_ignore_ascii_case(text),
        };
        held.iter().any(|one| has_word(one, text))
    }
}

/// Whether a text holds words that begin so.
fn has_word(held: &str, wanted: &str) -> bool {
    /// From here on scripts put no blanks between words.
    const UNSPACED: char = '\u{2E80}';
    let is_part_of_word = |letter: char| letter.is_alphanumeric() && letter < UNSPACED;
    let starts_in_word = wanted.starts_with(is_part_of_word);
    held.match_indices(wanted)
        .any(|(at, _)| !(starts_in_word && held[..at].ends_with(is_part_of_word)))
}

/// A body as it is searched.
fn notes(body: &Body<'_>) -> String {
    body::to_text(body.body_type, &body.text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_by_how_they_begin() {
        for (held, wanted, expected) in [
            ("mail 1 of load1@lab.example", "mail", true),
            ("mail 1 of load1@lab.example", "ma", true),
            ("mail 1 of load1@lab.example", "ail", false),
            ("mail 2 of load1@lab.example", "1", false),
            ("mail 1 of load1@lab.example", "1", true),
            ("mail 1 of load1@lab.example", "mail 1", true),
            ("mail 1 of load1@lab.example", "lab.example", true),
            ("mail 1 of load1@lab.example", "@lab", true),
            ("anything", "", true),
            ("", "a", false),
            ("\u{65e5}\u{672c}\u{8a9e}", "\u{672c}", true),
            ("stra\u{df}e", "\u{df}", false),
        ] {
            assert_eq!(has_word(held, wanted), expected, "{wanted} in {held}");
        }
    }

    #[test]
    fn times_are_read_in_every_form_that_clients_send() {
        const NOON: i64 = 1_773_489_600_000;
        for (text, expected) in [
            ("2026-03-14T12:00:00.000Z", Some(NOON)),
            ("2026-03-14T12:00:00Z", Some(NOON)),
            (" 20260314T120000Z ", Some(NOON)),
            ("2026-03-14T13:00:00+01:00", Some(NOON)),
            ("2026-03-14T12:00:00", Some(NOON)),
            ("2026-03-14", Some(NOON - 12 * 3_600_000)),
            ("", None),
            ("yesterday", None),
            ("2026-13-01T00:00:00.000Z", None),
        ] {
            assert_eq!(unix_millis(text), expected, "{text}");
        }
    }
}
