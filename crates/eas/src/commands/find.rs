use std::borrow::Cow;

use super::gal_entry::is_gal_entry;
use super::{GalEntry, Skipped};
use crate::status::FindStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Tag, Writer, air_sync, email, email2, find as tags,
    item_operations,
};

/// What is searched, and for what (ASCMD 2.2.3.66).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindCriterion<'a> {
    /// The user's mailbox.
    Mailbox {
        /// Words, phrases and property restrictions in Keyword Query Language (ASCMD 2.2.3.80.1).
        free_text: Cow<'a, str>,
        /// Items of this class, by its name on the wire; of every class if absent.
        class: Option<Cow<'a, str>>,
        /// Items in this folder; in every folder if absent.
        collection_id: Option<Cow<'a, str>>,
    },
    /// The global address list.
    Gal {
        /// A part of a name, an alias or an address.
        text: Cow<'a, str>,
    },
}

/// A Find request; 16.1 (ASCMD 2.2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindRequest<'a> {
    /// The client's name for this search, a GUID. A later request with the same id can ask for
    /// further results.
    pub search_id: Cow<'a, str>,
    /// Where and what for.
    pub criterion: FindCriterion<'a>,
    /// Which results, from the first to the last, counted from 0.
    pub range: Option<(u32, u32)>,
    /// The folders in the folder count too.
    pub deep: bool,
}

impl<'a> FindRequest<'a> {
    /// The last result that a range can name (ASCMD 2.2.3.143.1).
    pub const LAST_RESULT: u32 = 999;

    /// Whether a text has the form that the schema wants of a SearchId (ASCMD 6.7), such as
    /// `C2B5A8E6-1B2C-4D3E-9F00-0123456789AB`.
    #[must_use]
    pub fn is_search_id(text: &str) -> bool {
        const LENGTHS: [usize; 5] = [8, 4, 4, 4, 12];
        let parts = text.split('-').map(|part| {
            let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            part.len() * usize::from(is_hex)
        });
        parts.eq(LENGTHS)
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FIND)
            .element(tags::SEARCH_ID, &self.search_id)
            .start(tags::EXECUTE_SEARCH);
        match &self.criterion {
            FindCriterion::Mailbox {
                free_text,
                class,
                collection_id,
            } => {
                writer
                    .start(tags::MAIL_BOX_SEARCH_CRITERION)
                    .start(tags::QUERY);
                for (tag, text) in [
                    (air_sync::CLASS, class),
                    (air_sync::COLLECTION_ID, collection_id),
                ] {
                    if let Some(text) = text {
                        writer.element(tag, text);
                    }
                }
                writer.element(tags::FREE_TEXT, free_text).end();
            }
            FindCriterion::Gal { text } => {
                writer
                    .start(tags::GAL_SEARCH_CRITERION)
                    .element(tags::QUERY, text);
            }
        }
        if self.range.is_some() || self.deep {
            writer.start(tags::OPTIONS);
            write_range(&mut writer, self.range);
            if self.deep {
                writer.empty(tags::DEEP_TRAVERSAL);
            }
            writer.end();
        }
        writer.end().end().end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Find request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::FIND)?;
        let (mut search_id, mut search) = (None, None);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::SEARCH_ID => search_id = Some(reader.text(element)?),
                tags::EXECUTE_SEARCH => search = Some(Search::read(&mut reader, element)?),
                _ => reader.skip(element)?,
            }
        }
        let missing = |tag| reader.missing(tags::FIND, tag);
        let search_id = search_id.ok_or_else(|| missing(tags::SEARCH_ID))?;
        let search = search.ok_or_else(|| missing(tags::EXECUTE_SEARCH))?;
        reader.finish()?;
        Ok(Self {
            search_id,
            criterion: search.criterion,
            range: search.range,
            deep: search.deep,
        })
    }
}

fn write_range(writer: &mut Writer, range: Option<(u32, u32)>) {
    if let Some((first, last)) = range {
        writer.element(tags::RANGE, &format!("{first}-{last}"));
    }
}

/// What ExecuteSearch holds.
struct Search<'a> {
    criterion: FindCriterion<'a>,
    range: Option<(u32, u32)>,
    deep: bool,
}

impl<'a> Search<'a> {
    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut search = None;
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::MAIL_BOX_SEARCH_CRITERION | tags::GAL_SEARCH_CRITERION => {
                    search = Some(Self::criterion(reader, element)?);
                }
                _ => reader.skip(element)?,
            }
        }
        search.ok_or_else(|| reader.missing(parent.tag, tags::MAIL_BOX_SEARCH_CRITERION))
    }

    fn criterion(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let (mut criterion, mut range, mut deep) = (None, None, false);
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::QUERY if parent.tag == tags::GAL_SEARCH_CRITERION => {
                    let text = reader.text(element)?;
                    criterion = Some(FindCriterion::Gal { text });
                }
                tags::QUERY => criterion = Some(mailbox_query(reader, element)?),
                tags::OPTIONS => {
                    while let Some(option) = reader.child(element)? {
                        match option.tag {
                            tags::RANGE => range = reader.optional(option, Reader::range)?,
                            tags::DEEP_TRAVERSAL => deep = reader.flag(option)?,
                            _ => reader.skip(option)?,
                        }
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        Ok(Self {
            criterion: criterion.ok_or_else(|| reader.missing(parent.tag, tags::QUERY))?,
            range,
            deep,
        })
    }
}

fn mailbox_query<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<FindCriterion<'a>, DecodeError> {
    let (mut free_text, mut class, mut collection_id) = (None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::FREE_TEXT => free_text = Some(reader.text(element)?),
            air_sync::CLASS => class = reader.optional(element, Reader::text)?,
            air_sync::COLLECTION_ID => collection_id = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    Ok(FindCriterion::Mailbox {
        free_text: free_text.ok_or_else(|| reader.missing(tags::QUERY, tags::FREE_TEXT))?,
        class,
        collection_id,
    })
}

/// What a result shows of a message (ASCMD 2.2.3.139.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FoundMessage<'a> {
    /// Subject.
    pub subject: Cow<'a, str>,
    /// When the server received it, `2026-03-14T03:00:00.000Z`.
    pub date_received: Cow<'a, str>,
    /// Names of the recipients, separated by semicolons.
    pub display_to: Cow<'a, str>,
    /// Names of the recipients of a copy.
    pub display_cc: Cow<'a, str>,
    /// Names of the recipients of a blind copy.
    pub display_bcc: Cow<'a, str>,
    /// 0 low, 1 normal, 2 high.
    pub importance: Option<u8>,
    /// Read by the user.
    pub read: bool,
    /// A draft.
    pub is_draft: bool,
    /// How the text begins, up to [`PREVIEW`](Self::PREVIEW) characters.
    pub preview: Cow<'a, str>,
    /// It has attachments.
    pub has_attachments: bool,
    /// Sender.
    pub from: Cow<'a, str>,
}

impl<'a> FoundMessage<'a> {
    /// Characters of a preview (ASCMD 2.2.3.137).
    pub const PREVIEW: usize = 255;

    fn write(&self, writer: &mut Writer) {
        writer
            .start(tags::PROPERTIES)
            .element(email::SUBJECT, &self.subject)
            .element(email::DATE_RECEIVED, &self.date_received)
            .element(email::DISPLAY_TO, &self.display_to);
        for (tag, names) in [
            (tags::DISPLAY_CC, &self.display_cc),
            (tags::DISPLAY_BCC, &self.display_bcc),
        ] {
            if !names.is_empty() {
                writer.element(tag, names);
            }
        }
        if let Some(importance) = self.importance {
            writer.number(email::IMPORTANCE, importance);
        }
        writer
            .flag(email::READ, self.read)
            .flag(email2::IS_DRAFT, self.is_draft)
            .element(tags::PREVIEW, &self.preview)
            .flag(tags::HAS_ATTACHMENTS, self.has_attachments)
            .element(email::FROM, &self.from)
            .end();
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                email::SUBJECT => message.subject = reader.text(element)?,
                email::DATE_RECEIVED => message.date_received = reader.text(element)?,
                email::DISPLAY_TO => message.display_to = reader.text(element)?,
                tags::DISPLAY_CC => message.display_cc = reader.text(element)?,
                tags::DISPLAY_BCC => message.display_bcc = reader.text(element)?,
                email::IMPORTANCE => {
                    message.importance = reader.optional(element, Reader::number)?
                }
                email::READ => message.read = flag(reader, element)?,
                email2::IS_DRAFT => message.is_draft = flag(reader, element)?,
                tags::PREVIEW => message.preview = reader.text(element)?,
                tags::HAS_ATTACHMENTS => message.has_attachments = flag(reader, element)?,
                email::FROM => message.from = reader.text(element)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(message)
    }
}

/// Consumes a flag of a result; an empty one is not set.
fn flag(reader: &mut Reader<'_>, element: Element) -> Result<bool, DecodeError> {
    Ok(reader.optional(element, Reader::flag)?.unwrap_or(false))
}

/// What a result shows of what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindProperties<'a> {
    /// An item of the mailbox.
    Item(Box<FoundMessage<'a>>),
    /// An entry of the global address list.
    Gal(Box<GalEntry<'a>>),
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindResult<'a> {
    /// The item's class, by its name on the wire; an entry of the address list has none.
    pub class: Option<Cow<'a, str>>,
    /// The item's id, as Sync and ItemOperations know it.
    pub server_id: Option<Cow<'a, str>>,
    /// The folder the item is in.
    pub collection_id: Option<Cow<'a, str>>,
    /// What was found.
    pub properties: FindProperties<'a>,
}

impl<'a> FindResult<'a> {
    fn ids(&self) -> [(Tag, &Option<Cow<'a, str>>); 3] {
        [
            (air_sync::CLASS, &self.class),
            (air_sync::SERVER_ID, &self.server_id),
            (air_sync::COLLECTION_ID, &self.collection_id),
        ]
    }

    fn write(&self, writer: &mut Writer) {
        writer.start(tags::RESULT);
        for (tag, id) in self.ids() {
            if let Some(id) = id {
                writer.element(tag, id);
            }
        }
        match &self.properties {
            FindProperties::Item(message) => message.write(writer),
            FindProperties::Gal(entry) => entry.write_in(tags::PROPERTIES, writer),
        }
        writer.end();
    }

    /// A result without properties is none.
    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Option<Self>, DecodeError> {
        let (mut class, mut server_id, mut collection_id) = (None, None, None);
        let mut properties = None;
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                air_sync::CLASS => class = reader.optional(element, Reader::text)?,
                air_sync::SERVER_ID => server_id = reader.optional(element, Reader::text)?,
                air_sync::COLLECTION_ID => {
                    collection_id = reader.optional(element, Reader::text)?
                }
                tags::PROPERTIES if is_gal_entry(reader, element)? => {
                    let entry = GalEntry::read(reader, element)?;
                    properties = Some(FindProperties::Gal(Box::new(entry)));
                }
                tags::PROPERTIES => {
                    let message = reader.optional(element, FoundMessage::read)?;
                    properties = message.map(|message| FindProperties::Item(Box::new(message)));
                }
                _ => reader.skip(element)?,
            }
        }
        Ok(properties.map(|properties| Self {
            class,
            server_id,
            collection_id,
            properties,
        }))
    }
}

/// What a store answered (ASCMD 2.2.3.153.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindResponse<'a> {
    /// Which store: [`FindResponse::MAILBOX`] or [`FindResponse::GAL`].
    pub store: Cow<'a, str>,
    /// The store's status.
    pub status: FindStatus,
    /// The results.
    pub results: Vec<FindResult<'a>>,
    /// Which of all results these are.
    pub range: Option<(u32, u32)>,
    /// How many there are in all.
    pub total: Option<u32>,
    /// Results that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> FindResponse<'a> {
    /// The store of items.
    pub const MAILBOX: &'static str = "Mailbox";
    /// The store of addresses.
    pub const GAL: &'static str = "GAL";

    /// A response without results.
    #[must_use]
    pub fn new(store: &'static str, status: FindStatus) -> Self {
        Self {
            store: Cow::Borrowed(store),
            status,
            results: Vec::new(),
            range: None,
            total: None,
            skipped: Skipped::default(),
        }
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut status = None;
        let mut response = Self::new("", FindStatus::Success);
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                item_operations::STORE => response.store = reader.text(element)?,
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::RESULT => {
                    let read = response.skipped.item(reader, element, FindResult::read)?;
                    response.results.extend(read.flatten());
                }
                tags::RANGE => response.range = reader.optional(element, Reader::range)?,
                tags::TOTAL => response.total = reader.optional(element, Reader::number)?,
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::RESPONSE, tags::STATUS))?;
        response.status = FindStatus::from_code(status);
        Ok(response)
    }
}

/// A Find answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindAnswer<'a> {
    /// The command's status.
    pub status: FindStatus,
    /// What the store answered, if it was asked.
    pub response: Option<FindResponse<'a>>,
}

impl<'a> FindAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub const fn failed(status: FindStatus) -> Self {
        Self {
            status,
            response: None,
        }
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FIND)
            .number(tags::STATUS, self.status.code());
        if let Some(response) = &self.response {
            writer
                .start(tags::RESPONSE)
                .element(item_operations::STORE, &response.store)
                .number(tags::STATUS, response.status.code());
            for result in &response.results {
                // One that cannot be written must not cost the others.
                writer.attempt(|writer| result.write(writer));
            }
            write_range(&mut writer, response.range);
            if let Some(total) = response.total {
                writer.number(tags::TOTAL, total);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Find answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::FIND)?;
        let (mut status, mut response) = (None, None);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::RESPONSE => response = reader.optional(element, FindResponse::read)?,
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::FIND, tags::STATUS))?;
        reader.finish()?;
        Ok(Self {
            status: FindStatus::from_code(status),
            response,
        })
    }
}
