//! Search and Find: in the mailbox, and in the address list.

use eas::commands::{
    Body, Conditions, FindAnswer, FindCriterion, FindProperties, FindRequest, FindResponse,
    FindResult, FoundMessage, GalEntry, ItemData, MailboxQuery, SearchAnswer, SearchProperties,
    SearchRequest, SearchResult, SearchStore,
};
use eas::status::{FindStatus, GlobalStatus, SearchStatus};

use super::bodies::{BODIES_IN_AN_ANSWER, Form};
use super::{Call, Outcome, Refusal};
use crate::body::to_text;
use crate::store::{
    Condition, DRAFTS, Found, MailboxSearch, Operation, SearchQuery, SearchRefusal, StoreReply,
    unix_millis,
};
use crate::worker::address;

/// The last result that a range of Search can name, in the mailbox and in the address list (ASCMD
/// 2.2.3.143.3).
const LAST_RESULT: u32 = 99;
/// Bytes of a query: it is kept with its results. A person types some words.
const MAX_QUERY: usize = 4096;
/// `Importance` of a message that names none (ASEMAIL 2.2.2.38).
const NORMAL: u8 = 1;

/// Results of one range, and how many there are in all.
struct Page<T> {
    results: Vec<T>,
    total: u32,
    range: Option<(u32, u32)>,
}

impl<T> Page<T> {
    /// These are the results from `first` on.
    fn new(results: Vec<T>, first: u32, total: u32) -> Self {
        let count = u32::try_from(results.len()).unwrap_or(u32::MAX);
        let further = count.checked_sub(1);
        let range = further.map(|further| (first, first.saturating_add(further)));
        Self {
            results,
            total,
            range,
        }
    }

    /// Those of all results that a range names.
    fn of_all(all: Vec<T>, (first, last): (u32, u32)) -> Self {
        let total = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let count = last.saturating_sub(first).saturating_add(1);
        let page = all.into_iter().skip(first as usize).take(count as usize);
        Self::new(page.collect(), first, total)
    }

    fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(change).collect(),
            total: self.total,
            range: self.range,
        }
    }
}

impl Call<'_> {
    pub(super) async fn search(&self) -> Outcome {
        let request = SearchRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let (first, last) = request.range;
        if first > last {
            return self.search_failed(SearchStatus::InvalidRequest);
        }
        let range = (first, last.min(LAST_RESULT));
        let page = match &request.store {
            SearchStore::Mailbox(query) if query.is_too_complex => {
                return self.search_failed(SearchStatus::TooComplex);
            }
            SearchStore::Mailbox(query) => {
                let Some(query) = mailbox_query(query, request.deep) else {
                    return self.search_failed(SearchStatus::InvalidRequest);
                };
                if size(&query) > MAX_QUERY {
                    return self.search_failed(SearchStatus::TooComplex);
                }
                let form = Form::of_search(&request);
                if let Err(status) = form.check() {
                    return self.search_failed(
                        status.map_or(SearchStatus::InvalidRequest, SearchStatus::Common),
                    );
                }
                let found = self.found(MailboxSearch {
                    query,
                    rebuild: request.rebuild,
                    range,
                    most: LAST_RESULT as usize + 1,
                    preview: None,
                });
                match found.await? {
                    Ok(page) => self.formed_results(page, &form).await?,
                    Err(_) => return self.search_failed(SearchStatus::FolderSyncRequired),
                }
            }
            SearchStore::Gal { text } => {
                let entries = Page::of_all(self.entries(text).await?, range);
                entries.map(|entry| SearchResult {
                    long_id: None,
                    collection_id: None,
                    class: None,
                    properties: SearchProperties::Gal(Box::new(entry)),
                })
            }
        };
        let status = if last > LAST_RESULT {
            SearchStatus::EndOfRange
        } else {
            SearchStatus::Success
        };
        let mut answer = SearchAnswer::new(SearchStatus::Success, status);
        answer.total = (page.total > 0).then_some(page.total);
        (answer.results, answer.range) = (page.results, page.range);
        self.body(answer.encode(self.version)?)
    }

    /// Results with their bodies in the form that the request asks for.
    async fn formed_results(
        &self,
        page: Page<Found>,
        form: &Form,
    ) -> Result<Page<SearchResult<'static>>, Refusal> {
        let mut body_room = BODIES_IN_AN_ANSWER;
        let mut results = Vec::with_capacity(page.results.len());
        for one in page.results {
            let class = one.data.class();
            let data = self.formed(*one.data, form, &mut body_room).await?;
            results.push(SearchResult {
                long_id: Some(one.id.into()),
                collection_id: Some(one.folder.to_string().into()),
                class,
                properties: SearchProperties::Item(data),
            });
        }
        Ok(Page {
            results,
            total: page.total,
            range: page.range,
        })
    }

    pub(super) fn search_failed(&self, status: SearchStatus) -> Outcome {
        self.body(SearchAnswer::new(SearchStatus::Success, status).encode(self.version)?)
    }

    /// Searches the mailbox; the first range of the results is that of the search.
    async fn found(
        &self,
        search: MailboxSearch,
    ) -> Result<Result<Page<Found>, SearchRefusal>, Refusal> {
        let first = search.range.0;
        match self.ask(Operation::Search(Box::new(search))).await? {
            StoreReply::Found { items, total } => Ok(Ok(Page::new(items, first, total))),
            StoreReply::SearchRefused(refusal) => Ok(Err(refusal)),
            _ => Err(Refusal::Status(GlobalStatus::ServerError)),
        }
    }

    /// Users whose name holds that text.
    async fn entries(&self, text: &str) -> Result<Vec<GalEntry<'static>>, Refusal> {
        let users = self.users(text).await?;
        let entries = users.into_iter().map(|user| GalEntry {
            email: address(&user).into(),
            alias: user.clone().into(),
            display_name: user.into(),
            ..GalEntry::default()
        });
        Ok(entries.collect())
    }

    /// 16.1's search, with results that are as short as a list shows them.
    pub(super) async fn find(&self) -> Outcome {
        let request = FindRequest::decode(self.body)?;
        self.ask(Operation::CheckPolicy).await?;
        let range = request.range.unwrap_or(SearchRequest::DEFAULT_RANGE);
        let text = match &request.criterion {
            FindCriterion::Mailbox { free_text, .. } => free_text,
            FindCriterion::Gal { text } => text,
        };
        if !FindRequest::is_search_id(&request.search_id)
            || range.0 > range.1
            || range.1 > FindRequest::LAST_RESULT
            || text.trim().is_empty()
        {
            return self.find_failed(FindStatus::InvalidRequest);
        }
        let (store, page) = match request.criterion {
            FindCriterion::Mailbox {
                free_text,
                class,
                collection_id,
            } => {
                let query = SearchQuery {
                    name: Some(request.search_id.to_ascii_lowercase()),
                    classes: class.into_iter().map(String::from).collect(),
                    folders: collection_id.into_iter().map(String::from).collect(),
                    deep: request.deep,
                    all: vec![Condition::Text(free_text.into_owned())],
                    ..SearchQuery::default()
                };
                if size(&query) > MAX_QUERY {
                    return self.find_failed(FindStatus::InvalidRequest);
                }
                let found = self.found(MailboxSearch {
                    query,
                    rebuild: false,
                    range,
                    most: FindRequest::LAST_RESULT as usize + 1,
                    preview: Some(FoundMessage::PREVIEW),
                });
                match found.await? {
                    Ok(page) => (FindResponse::MAILBOX, page.map(find_result)),
                    Err(SearchRefusal::NoFolder) => {
                        return self.find_failed(FindStatus::FolderSyncRequired);
                    }
                    Err(SearchRefusal::NotBegun) => {
                        let status = FindStatus::StartWithRangeZero;
                        return self.find_answer(FindResponse::new(FindResponse::MAILBOX, status));
                    }
                }
            }
            FindCriterion::Gal { text } => {
                let entries = Page::of_all(self.entries(&text).await?, range);
                let entries = entries.map(|entry| FindResult {
                    class: None,
                    server_id: None,
                    collection_id: None,
                    properties: FindProperties::Gal(Box::new(entry)),
                });
                (FindResponse::GAL, entries)
            }
        };
        self.find_answer(FindResponse {
            results: page.results,
            range: page.range,
            total: Some(page.total),
            ..FindResponse::new(store, FindStatus::Success)
        })
    }

    fn find_failed(&self, status: FindStatus) -> Outcome {
        self.body(FindAnswer::failed(status).encode()?)
    }

    fn find_answer(&self, response: FindResponse<'_>) -> Outcome {
        let answer = FindAnswer {
            status: FindStatus::Success,
            response: Some(response),
        };
        self.body(answer.encode()?)
    }
}

/// What to ask of the store; `None` if a time is none.
fn mailbox_query(query: &MailboxQuery<'_>, deep: bool) -> Option<SearchQuery> {
    let owned =
        |texts: &[std::borrow::Cow<'_, str>]| texts.iter().map(|one| one.to_string()).collect();
    Some(SearchQuery {
        name: None,
        classes: owned(&query.classes),
        folders: owned(&query.collection_ids),
        deep,
        is_of_conversation: query.conversation_id.is_some(),
        all: conditions(&query.all)?,
        any: conditions(&query.any)?,
    })
}

/// Bytes of a query.
fn size(query: &SearchQuery) -> usize {
    let counter = postcard::ser_flavors::Size::default();
    // Counting cannot fail.
    postcard::serialize_with_flavor(query, counter).unwrap_or(usize::MAX)
}

fn conditions(conditions: &Conditions<'_>) -> Option<Vec<Condition>> {
    let texts = conditions.free_text.iter();
    let mut all: Vec<Condition> = texts
        .map(|text| Condition::Text(text.to_string()))
        .collect();
    if let Some(time) = &conditions.received_after {
        all.push(Condition::After(unix_millis(time)?));
    }
    if let Some(time) = &conditions.received_before {
        all.push(Condition::Before(unix_millis(time)?));
    }
    Some(all)
}

fn find_result(found: Found) -> FindResult<'static> {
    let class = found.data.class().map(|class| class.as_str().into());
    let is_draft = found.folder == DRAFTS;
    let message = match *found.data {
        ItemData::Email(email) => FoundMessage {
            subject: email.subject,
            date_received: email.date_received,
            display_to: names(&email.to).into(),
            display_cc: names(&email.cc).into(),
            display_bcc: "".into(),
            importance: Some(email.importance.unwrap_or(NORMAL)),
            read: email.read,
            is_draft,
            preview: email.body,
            has_attachments: !email.attachments.is_empty(),
            from: email.from,
        },
        ItemData::Calendar(appointment) => FoundMessage {
            subject: appointment.subject,
            preview: preview(&appointment.body).into(),
            ..FoundMessage::default()
        },
        ItemData::Contact(contact) => FoundMessage {
            subject: contact.file_as,
            preview: preview(&contact.body).into(),
            ..FoundMessage::default()
        },
        ItemData::Task(task) => FoundMessage {
            subject: task.subject,
            preview: preview(&task.body).into(),
            ..FoundMessage::default()
        },
        ItemData::Note(note) => FoundMessage {
            subject: note.subject,
            preview: preview(&note.body).into(),
            ..FoundMessage::default()
        },
        ItemData::Other => FoundMessage::default(),
    };
    FindResult {
        class,
        server_id: Some(found.id.into()),
        collection_id: Some(found.folder.to_string().into()),
        properties: FindProperties::Item(Box::new(message)),
    }
}

fn preview(body: &Body<'_>) -> String {
    let text = to_text(body.body_type, &body.text);
    text.chars().take(FoundMessage::PREVIEW).collect()
}

/// Recipients as a list shows them: separated by semicolons (ASEMAIL 2.2.2.29).
fn names(addresses: &str) -> String {
    let names: Vec<&str> = addresses.split(',').map(str::trim).collect();
    names.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_which_of_all_results_it_has() {
        for (range, results, expected) in [
            ((0, 9), &[1, 2, 3][..], Some((0, 2))),
            ((0, 0), &[1], Some((0, 0))),
            ((1, 1), &[2], Some((1, 1))),
            ((2, 99), &[3], Some((2, 2))),
            ((3, 9), &[], None),
            ((0, u32::MAX), &[1, 2, 3], Some((0, 2))),
            ((u32::MAX, u32::MAX), &[], None),
        ] {
            let page = Page::of_all(vec![1, 2, 3], range);
            assert_eq!(page.results, results, "{range:?}");
            assert_eq!((page.range, page.total), (expected, 3), "{range:?}");
        }
        let nothing = Page::of_all(Vec::<u8>::new(), (0, 9));
        assert_eq!((nothing.range, nothing.total), (None, 0));
    }
}
