//! Search and Find in a mailbox.

use std::cmp::Reverse;
use std::collections::HashSet;

use eas::commands::{Body, ItemData};

use super::call::{Condition, Found, MailboxSearch, SearchQuery, SearchRefusal, StoreReply};
use super::content::Content;
use super::find;
use super::folder::Folder;
use super::kql::{Kql, Part};
use super::limits::MAX_ANSWER;
use super::mailbox::{Turn, find_number};
use crate::body;

/// What a device's last search found. Further ranges of it come from here, so that they fit together: it
/// stays as it was until the device searches for something else or asks to rebuild it (ASCMD 2.2.3.144).
#[derive(Debug)]
pub(super) struct SearchResults {
    query: SearchQuery,
    /// Folder and number of each item, the newest first.
    ids: Vec<(u32, u32)>,
    /// Results that are not kept.
    beyond: usize,
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
    class: &'static str,
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

/// A condition that is ready to be compared.
enum Test {
    Text(Kql),
    After(i64),
    Before(i64),
}

impl Test {
    fn new(condition: &Condition) -> Self {
        match condition {
            Condition::Text(text) => Self::Text(Kql::parse(text)),
            Condition::After(time) => Self::After(*time),
            Condition::Before(time) => Self::Before(*time),
        }
    }

    fn holds(&self, item: &Searched) -> bool {
        match self {
            Self::Text(text) => text.matches(item),
            Self::After(time) => item.received.is_some_and(|at| at > *time),
            Self::Before(time) => item.received.is_some_and(|at| at < *time),
        }
    }
}

impl Turn<'_> {
    pub(super) fn search(&mut self, search: MailboxSearch) -> StoreReply {
        let Some(folders) = searched_folders(self.folders, &search.query) else {
            return StoreReply::SearchRefused(SearchRefusal::NoFolder);
        };
        let (first, last) = search.range;
        let last_results = self.device.search.take();
        let kept = last_results.filter(|results| results.query == search.query);
        let has_name = search.query.name.is_some();
        if has_name && kept.is_none() && first > 0 {
            return StoreReply::SearchRefused(SearchRefusal::NotBegun);
        }
        let begins_again = search.rebuild || (has_name && first == 0);
        let mut results = match kept.filter(|_| !begins_again) {
            Some(results) => results,
            None => find_items(self.folders, &folders, search.query, search.most),
        };
        let all = &*self.folders;
        results.ids.retain(|id| content(all, *id).is_some());
        let count = (last - first.min(last)).saturating_add(1);
        let page = results.ids.iter().skip(first as usize);
        let (mut items, mut room) = (Vec::new(), MAX_ANSWER);
        for (folder, number) in page.take(count as usize) {
            let Some(data) = find_number(all, *folder).and_then(|one| one.data(*number)) else {
                continue;
            };
            let data = with_preview(data, search.preview);
            items.push(Found {
                id: format!("{folder}:{number}"),
                folder: *folder,
                data: Box::new(data),
            });
            let size = match search.preview {
                Some(length) => length,
                None => content(all, (*folder, *number)).map_or(0, Content::text_size),
            };
            // One item may go beyond the limit.
            room = room.saturating_sub(size);
            if room == 0 {
                break;
            }
        }
        let total = results.ids.len().saturating_add(results.beyond);
        self.device.search = Some(results);
        StoreReply::Found {
            items,
            total: u32::try_from(total).unwrap_or(u32::MAX),
        }
    }
}

/// A body as it is searched.
fn notes(body: &Body<'_>) -> String {
    body::to_text(body.body_type, &body.text).to_lowercase()
}

fn content(folders: &[Folder], (folder, number): (u32, u32)) -> Option<&Content> {
    find_number(folders, folder)?.content(number)
}

/// Without most of the text where only its beginning is shown.
fn with_preview(mut data: ItemData<'static>, preview: Option<usize>) -> ItemData<'static> {
    if let (ItemData::Email(email), Some(length)) = (&mut data, preview) {
        let text: String = body::text(email).chars().take(length).collect();
        (email.body, email.body_type) = (text.into(), body::PLAIN);
    }
    data
}

/// The folders that are searched, by number; `None` if one of those that are named is not there.
fn searched_folders(folders: &[Folder], query: &SearchQuery) -> Option<HashSet<u32>> {
    /// The parent of the folders at the top; it holds no items itself.
    const ROOT: u32 = 0;
    if query.folders.is_empty() {
        return Some(folders.iter().map(|folder| folder.record.id).collect());
    }
    let mut wanted = HashSet::new();
    for id in &query.folders {
        let number = match id.as_str() {
            "0" => ROOT,
            id => find(folders, id)?.record.id,
        };
        wanted.insert(number);
    }
    let mut is_growing = query.deep;
    while is_growing {
        let known = wanted.len();
        let below = folders
            .iter()
            .filter(|folder| wanted.contains(&folder.record.parent));
        let below: Vec<u32> = below.map(|folder| folder.record.id).collect();
        wanted.extend(below);
        is_growing = wanted.len() > known;
    }
    Some(wanted)
}

/// Searches the folders. Up to `most` results are kept.
fn find_items(
    folders: &[Folder],
    wanted: &HashSet<u32>,
    query: SearchQuery,
    most: usize,
) -> SearchResults {
    let tests = |conditions: &[Condition]| conditions.iter().map(Test::new).collect::<Vec<_>>();
    let (all, any) = (tests(&query.all), tests(&query.any));
    let is_found = |content: &Content, is_read| {
        let item = Searched::new(content, is_read);
        let is_wanted = |class: &String| *class == item.class;
        let found = (query.classes.is_empty() || query.classes.iter().any(is_wanted))
            && all.iter().all(|test| test.holds(&item))
            && (any.is_empty() || any.iter().any(|test| test.holds(&item)));
        found.then_some(item.received)
    };
    let searched = folders
        .iter()
        // The mock keeps no conversations, so none of its items is part of one.
        .filter(|folder| wanted.contains(&folder.record.id) && !query.is_of_conversation);
    let items = searched.flat_map(|folder| {
        let items = folder.newest();
        items.map(|(number, content, is_read)| ((folder.record.id, number), content, is_read))
    });
    let mut found: Vec<(Option<i64>, (u32, u32))> = items
        .filter_map(|(id, content, is_read)| Some((is_found(content, is_read)?, id)))
        .collect();
    // Stable: items of the same time stay in the order of their folders.
    found.sort_by_key(|(received, _)| Reverse(*received));
    let beyond = found.len().saturating_sub(most);
    found.truncate(most);
    SearchResults {
        query,
        ids: found.into_iter().map(|(_, id)| id).collect(),
        beyond,
    }
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
