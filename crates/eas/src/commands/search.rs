use std::borrow::Cow;

use super::gal_entry::is_gal_entry;
use super::item::{Sender, read_body_preference, write_body_preference};
use super::search_query::{MailboxQuery, Query};
use super::{BodyPreference, Class, GalEntry, ItemData, Skipped};
use crate::ProtocolVersion;
use crate::status::SearchStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, air_sync, air_sync_base, search as tags,
};

/// What is searched, and for what (ASCMD 2.2.1.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchStore<'a> {
    /// The user's mailbox; 12.0 and later.
    Mailbox(MailboxQuery<'a>),
    /// The global address list.
    Gal {
        /// How a name, an alias or an address begins.
        text: Cow<'a, str>,
    },
}

/// The names of the stores on the wire.
const MAILBOX: &str = "Mailbox";
const GAL: &str = "GAL";

/// A Search request (ASCMD 2.2.1.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest<'a> {
    /// Where and what for.
    pub store: SearchStore<'a>,
    /// Which results, from the first to the last, counted from 0.
    pub range: (u32, u32),
    /// The server is to search anew, not to answer from what it found before.
    pub rebuild: bool,
    /// The folders in the folder count too.
    pub deep: bool,
    /// The forms of a body that the client takes.
    pub bodies: Vec<BodyPreference>,
    /// The form of the part of a message that is wanted; 14.1 and later.
    pub body_part: Option<BodyPreference>,
    /// Whether MIME is wanted: 0 never, 1 for S/MIME messages, 2 for all.
    pub mime_support: Option<u8>,
}

impl<'a> SearchRequest<'a> {
    /// The range where a request names none (ASCMD, Range (Search)).
    pub const DEFAULT_RANGE: (u32, u32) = (0, 99);

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::SEARCH).start(tags::STORE);
        match &self.store {
            SearchStore::Gal { text } => {
                writer.element(tags::NAME, GAL).element(tags::QUERY, text);
            }
            SearchStore::Mailbox(query) => {
                writer.element(tags::NAME, MAILBOX);
                query.write(&mut writer);
            }
        }
        writer.start(tags::OPTIONS);
        if self.rebuild {
            writer.empty(tags::REBUILD_RESULTS);
        }
        if self.deep {
            writer.empty(tags::DEEP_TRAVERSAL);
        }
        write_range(&mut writer, self.range);
        if let Some(mime_support) = self.mime_support {
            writer.number(air_sync::MIME_SUPPORT, mime_support);
        }
        for body in &self.bodies {
            write_body_preference(&mut writer, air_sync_base::BODY_PREFERENCE, *body);
        }
        if let Some(part) = self.body_part {
            write_body_preference(&mut writer, air_sync_base::BODY_PART_PREFERENCE, part);
        }
        writer.end().end().end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Search request, or searches another store than the two.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SEARCH)?;
        let mut request = None;
        while let Some(element) = reader.child(root)? {
            if element.tag == tags::STORE {
                request = Some(request_store(&mut reader, element)?);
            } else {
                reader.skip(element)?;
            }
        }
        let request = request.ok_or_else(|| reader.missing(tags::SEARCH, tags::STORE))?;
        reader.finish()?;
        Ok(request)
    }
}

fn write_range(writer: &mut Writer, (first, last): (u32, u32)) {
    writer.element(tags::RANGE, &format!("{first}-{last}"));
}

fn request_store<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<SearchRequest<'a>, DecodeError> {
    let mut is_gal = None;
    let mut query = None;
    let (mut range, mut rebuild, mut deep) = (SearchRequest::DEFAULT_RANGE, false, false);
    let (mut bodies, mut body_part, mut mime_support) = (Vec::new(), None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::NAME => is_gal = Some(store_is_gal(reader, element)?),
            tags::QUERY => query = Some(Query::read(reader, element)?),
            tags::OPTIONS => {
                while let Some(option) = reader.child(element)? {
                    match option.tag {
                        tags::RANGE => {
                            range = reader.optional(option, Reader::range)?.unwrap_or(range);
                        }
                        tags::REBUILD_RESULTS => rebuild = reader.flag(option)?,
                        tags::DEEP_TRAVERSAL => deep = reader.flag(option)?,
                        air_sync_base::BODY_PREFERENCE => {
                            bodies.extend(reader.optional(option, read_body_preference)?);
                        }
                        air_sync_base::BODY_PART_PREFERENCE => {
                            let part = reader.optional(option, read_body_preference)?;
                            if part.is_some() && body_part.is_some() {
                                return Err(reader.repeated(element.tag, option.tag));
                            }
                            body_part = part.or(body_part);
                        }
                        air_sync::MIME_SUPPORT => {
                            mime_support = reader.optional(option, Reader::number)?;
                        }
                        _ => reader.skip(option)?,
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    let is_gal = is_gal.ok_or_else(|| reader.missing(tags::STORE, tags::NAME))?;
    let query = query.ok_or_else(|| reader.missing(tags::STORE, tags::QUERY))?;
    let store = match (is_gal, query) {
        (true, Query::Text(text)) => SearchStore::Gal { text },
        (true, Query::Conditions(_)) => return Err(reader.missing(tags::STORE, tags::QUERY)),
        (false, Query::Text(text)) => SearchStore::Mailbox(MailboxQuery::with_text(text)),
        (false, Query::Conditions(query)) => SearchStore::Mailbox(query),
    };
    Ok(SearchRequest {
        store,
        range,
        rebuild,
        deep,
        bodies,
        body_part,
        mime_support,
    })
}

/// Letter case does not count: the specification itself writes both `GAL` and `Gal`.
fn store_is_gal(reader: &mut Reader<'_>, name: Element) -> Result<bool, DecodeError> {
    reader.parse(name, "GAL or Mailbox", |text| {
        if text.eq_ignore_ascii_case(GAL) {
            Some(true)
        } else {
            text.eq_ignore_ascii_case(MAILBOX).then_some(false)
        }
    })
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchProperties<'a> {
    /// An item of the mailbox.
    Item(ItemData<'a>),
    /// An entry of the global address list.
    Gal(Box<GalEntry<'a>>),
}

impl<'a> SearchProperties<'a> {
    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        Ok(if is_gal_entry(reader, parent)? {
            Self::Gal(Box::new(GalEntry::read(reader, parent)?))
        } else {
            Self::Item(ItemData::read(reader, parent)?)
        })
    }
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResult<'a> {
    /// The item's id, for Fetch, SmartReply and SmartForward; an entry of the address list has none.
    pub long_id: Option<Cow<'a, str>>,
    /// The folder the item is in.
    pub collection_id: Option<Cow<'a, str>>,
    /// The item's class.
    pub class: Option<Class>,
    /// What was found.
    pub properties: SearchProperties<'a>,
}

/// A Search answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchAnswer<'a> {
    /// The command's status.
    pub status: SearchStatus,
    /// The store's status, which the answer holds only if the command went well.
    pub store_status: SearchStatus,
    /// The results.
    pub results: Vec<SearchResult<'a>>,
    /// Which of all results these are.
    pub range: Option<(u32, u32)>,
    /// About how many there are in all.
    pub total: Option<u32>,
    /// Results that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> SearchAnswer<'a> {
    /// An answer without results.
    #[must_use]
    pub fn new(status: SearchStatus, store_status: SearchStatus) -> Self {
        Self {
            status,
            store_status,
            results: Vec::new(),
            range: None,
            total: None,
            skipped: Skipped::default(),
        }
    }

    /// As a body. A store without results holds an empty one, as the specification has it.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::SEARCH)
            .number(tags::STATUS, self.status.code());
        if self.status == SearchStatus::Success {
            writer
                .start(tags::RESPONSE)
                .start(tags::STORE)
                .number(tags::STATUS, self.store_status.code());
            for result in &self.results {
                // A result that cannot be written must not cost the others.
                writer.attempt(|writer| write_result(writer, result, version));
            }
            if self.results.is_empty() && self.store_status == SearchStatus::Success {
                writer.empty(tags::RESULT);
            }
            if let Some(range) = self.range {
                write_range(&mut writer, range);
            }
            if let Some(total) = self.total {
                writer.number(tags::TOTAL, total);
            }
            writer.end().end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body. A result without properties is none.
    ///
    /// # Errors
    /// When it is no Search answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SEARCH)?;
        let mut status = None;
        let mut answer = Self::new(SearchStatus::Success, SearchStatus::Success);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::RESPONSE => {
                    while let Some(store) = reader.child(element)? {
                        answer.store(&mut reader, store)?;
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::SEARCH, tags::STATUS))?;
        answer.status = SearchStatus::from_code(status);
        reader.finish()?;
        Ok(answer)
    }

    fn store(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::STATUS => {
                    if let Some(code) = reader.optional(element, Reader::number)? {
                        self.store_status = SearchStatus::from_code(code);
                    }
                }
                tags::RESULT => {
                    let read = self.skipped.item(reader, element, result)?;
                    self.results.extend(read.flatten());
                }
                tags::RANGE => self.range = reader.optional(element, Reader::range)?,
                tags::TOTAL => self.total = reader.optional(element, Reader::number)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(())
    }
}

fn write_result(writer: &mut Writer, result: &SearchResult<'_>, version: ProtocolVersion) {
    writer.start(tags::RESULT);
    if let Some(class) = result.class {
        writer.element(air_sync::CLASS, class.as_str());
    }
    if let Some(id) = &result.long_id {
        writer.element(tags::LONG_ID, id);
    }
    if let Some(id) = &result.collection_id {
        writer.element(air_sync::COLLECTION_ID, id);
    }
    match &result.properties {
        SearchProperties::Item(item) => {
            item.write_in(tags::PROPERTIES, writer, version, Sender::Server);
        }
        SearchProperties::Gal(entry) => entry.write_in(tags::PROPERTIES, writer),
    }
    writer.end();
}

fn result<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Option<SearchResult<'a>>, DecodeError> {
    let (mut long_id, mut collection_id, mut class, mut properties) = (None, None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::LONG_ID => long_id = reader.optional(element, Reader::text)?,
            air_sync::COLLECTION_ID => collection_id = reader.optional(element, Reader::text)?,
            air_sync::CLASS => class = Class::parse(&reader.text(element)?),
            tags::PROPERTIES => properties = reader.optional(element, SearchProperties::read)?,
            _ => reader.skip(element)?,
        }
    }
    Ok(properties.map(|properties| SearchResult {
        long_id,
        collection_id,
        class,
        properties,
    }))
}
