use std::borrow::Cow;

use super::item::{Sender, read_body_preference, write_body_preference};
use super::{BodyPreference, Class, ItemData, Skipped};
use crate::ProtocolVersion;
use crate::status::SearchStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Tag, Writer, air_sync, air_sync_base, gal,
    search as tags,
};

/// What is searched, and for what (ASCMD 2.2.1.16).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchStore<'a> {
    /// The user's mailbox; 12.0 and later.
    Mailbox {
        /// Words that an item must hold.
        free_text: Cow<'a, str>,
        /// In this folder only.
        collection_id: Option<Cow<'a, str>>,
        /// Items of this class only.
        class: Option<Class>,
    },
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
    /// In which form the items are wanted.
    pub body: Option<BodyPreference>,
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
            SearchStore::Mailbox {
                free_text,
                collection_id,
                class,
            } => {
                writer.element(tags::NAME, MAILBOX);
                writer.start(tags::QUERY).start(tags::AND);
                if let Some(class) = class {
                    writer.element(air_sync::CLASS, class.as_str());
                }
                if let Some(id) = collection_id {
                    writer.element(air_sync::COLLECTION_ID, id);
                }
                writer.element(tags::FREE_TEXT, free_text).end().end();
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
        if let Some(body) = self.body {
            write_body_preference(&mut writer, body);
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
    let mut query = Query::default();
    let (mut range, mut rebuild, mut deep, mut body) =
        (SearchRequest::DEFAULT_RANGE, false, false, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::NAME => is_gal = Some(store_is_gal(reader, element)?),
            tags::QUERY => query.read(reader, element)?,
            tags::OPTIONS => {
                while let Some(option) = reader.child(element)? {
                    match option.tag {
                        tags::RANGE => range = reader.range(option)?,
                        tags::REBUILD_RESULTS => rebuild = reader.flag(option)?,
                        tags::DEEP_TRAVERSAL => deep = reader.flag(option)?,
                        air_sync_base::BODY_PREFERENCE => {
                            body = Some(read_body_preference(reader, option)?);
                        }
                        _ => reader.skip(option)?,
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    let is_gal = is_gal.ok_or_else(|| reader.missing(tags::STORE, tags::NAME))?;
    let text = query.text;
    let store = if is_gal {
        SearchStore::Gal {
            text: text.ok_or_else(|| reader.missing(tags::STORE, tags::QUERY))?,
        }
    } else {
        SearchStore::Mailbox {
            free_text: text.ok_or_else(|| reader.missing(tags::QUERY, tags::FREE_TEXT))?,
            collection_id: query.collection_id,
            class: query.class,
        }
    };
    Ok(SearchRequest {
        store,
        range,
        rebuild,
        deep,
        body,
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

/// What a Query holds: a bare text, or conditions.
#[derive(Default)]
struct Query<'a> {
    text: Option<Cow<'a, str>>,
    collection_id: Option<Cow<'a, str>>,
    class: Option<Class>,
}

impl<'a> Query<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, query: Element) -> Result<(), DecodeError> {
        let mut attempt = reader.clone();
        if let Ok(text) = attempt.text(query) {
            *reader = attempt;
            self.text = Some(text);
            return Ok(());
        }
        self.conditions(reader, query)
    }

    /// Conditions nest as deep as the reader lets them.
    fn conditions(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::AND | tags::OR => self.conditions(reader, element)?,
                tags::FREE_TEXT => self.text = Some(reader.text(element)?),
                air_sync::COLLECTION_ID => self.collection_id = Some(reader.text(element)?),
                air_sync::CLASS => self.class = Class::parse(&reader.text(element)?),
                _ => reader.skip(element)?,
            }
        }
        Ok(())
    }
}

/// Someone in the global address list (ASCMD, Properties (Search)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GalEntry<'a> {
    /// Name for people.
    pub display_name: Cow<'a, str>,
    /// Telephone at work.
    pub phone: Cow<'a, str>,
    /// Where the office is.
    pub office: Cow<'a, str>,
    /// Job title.
    pub title: Cow<'a, str>,
    /// Company.
    pub company: Cow<'a, str>,
    /// Short name.
    pub alias: Cow<'a, str>,
    /// First name.
    pub first_name: Cow<'a, str>,
    /// Last name.
    pub last_name: Cow<'a, str>,
    /// Telephone at home.
    pub home_phone: Cow<'a, str>,
    /// Mobile telephone.
    pub mobile_phone: Cow<'a, str>,
    /// Address.
    pub email: Cow<'a, str>,
}

impl<'a> GalEntry<'a> {
    fn field(&mut self, tag: Tag) -> Option<&mut Cow<'a, str>> {
        Some(match tag {
            gal::DISPLAY_NAME => &mut self.display_name,
            gal::PHONE => &mut self.phone,
            gal::OFFICE => &mut self.office,
            gal::TITLE => &mut self.title,
            gal::COMPANY => &mut self.company,
            gal::ALIAS => &mut self.alias,
            gal::FIRST_NAME => &mut self.first_name,
            gal::LAST_NAME => &mut self.last_name,
            gal::HOME_PHONE => &mut self.home_phone,
            gal::MOBILE_PHONE => &mut self.mobile_phone,
            gal::EMAIL_ADDRESS => &mut self.email,
            _ => return None,
        })
    }

    /// DisplayName is always there, so that an empty entry is one too.
    fn write(&self, writer: &mut Writer) {
        writer
            .start(tags::PROPERTIES)
            .element(gal::DISPLAY_NAME, &self.display_name);
        for (tag, text) in [
            (gal::PHONE, &self.phone),
            (gal::OFFICE, &self.office),
            (gal::TITLE, &self.title),
            (gal::COMPANY, &self.company),
            (gal::ALIAS, &self.alias),
            (gal::FIRST_NAME, &self.first_name),
            (gal::LAST_NAME, &self.last_name),
            (gal::HOME_PHONE, &self.home_phone),
            (gal::MOBILE_PHONE, &self.mobile_phone),
            (gal::EMAIL_ADDRESS, &self.email),
        ] {
            if !text.is_empty() {
                writer.element(tag, text);
            }
        }
        writer.end();
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut entry = Self::default();
        while let Some(element) = reader.child(parent)? {
            match entry.field(element.tag) {
                Some(field) => *field = reader.text(element)?,
                None => reader.skip(element)?,
            }
        }
        Ok(entry)
    }
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
        let first = reader.clone().child(parent)?;
        let is_gal = first.is_some_and(|element| element.tag.page() == gal::DISPLAY_NAME.page());
        Ok(if is_gal {
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
        SearchProperties::Gal(entry) => entry.write(writer),
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
            tags::LONG_ID => long_id = Some(reader.text(element)?),
            air_sync::COLLECTION_ID => collection_id = Some(reader.text(element)?),
            air_sync::CLASS => class = Class::parse(&reader.text(element)?),
            tags::PROPERTIES => properties = Some(SearchProperties::read(reader, element)?),
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
