//! Search and Find in a mailbox.

use std::cmp::Reverse;
use std::collections::HashSet;

use eas::commands::ItemData;

use super::call::{Condition, Found, MailboxSearch, SearchQuery, SearchRefusal, StoreReply};
use super::content::Content;
use super::find;
use super::folder::Folder;
use super::kql::Kql;
use super::limits::MAX_ANSWER;
use super::mailbox::find_number;
use super::searched::Searched;
use super::turn::Turn;
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
