use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::commands::item::Sender;
use crate::commands::{Class, ItemData, Skipped};
use crate::status::ItemOperationsStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, air_sync, air_sync_base,
    item_operations as tags, search,
};
use crate::{ProtocolVersion, multipart};

/// What a [`Fetch`](super::Fetch) brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchedContent<'a> {
    /// An item.
    Item(ItemData<'a>),
    /// An attachment, or a part of one.
    Attachment {
        /// Its media type.
        content_type: Cow<'a, str>,
        /// Its bytes; base64 on the wire.
        data: Cow<'a, [u8]>,
        /// Which bytes of it, `0-9`, if the request asked for some.
        range: Option<Cow<'a, str>>,
        /// How many bytes it has in all, if the request asked for some.
        total: Option<u32>,
    },
}

impl<'a> FetchedContent<'a> {
    fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        let (content_type, data, range, total) = match self {
            Self::Item(item) => {
                item.write_in(tags::PROPERTIES, writer, version, Sender::Server);
                return;
            }
            Self::Attachment {
                content_type,
                data,
                range,
                total,
            } => (content_type, data, range, total),
        };
        writer.start(tags::PROPERTIES);
        if let Some(range) = range {
            writer.element(tags::RANGE, range);
        }
        if let Some(total) = total {
            writer.number(tags::TOTAL, *total);
        }
        writer
            .element(air_sync_base::CONTENT_TYPE, content_type)
            .detachable(tags::DATA, data, || BASE64.encode(data).into())
            .end();
    }

    /// Consumes Properties. Those of an attachment begin with an element that no item has.
    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let first = reader.clone().child(parent)?;
        let is_attachment = first.is_some_and(|element| {
            matches!(
                element.tag,
                tags::RANGE | tags::TOTAL | tags::DATA | tags::PART | air_sync_base::CONTENT_TYPE
            )
        });
        if !is_attachment {
            return Ok(Self::Item(ItemData::read(reader, parent)?));
        }
        let (mut content_type, mut data) = (Cow::Borrowed(""), Cow::Borrowed(&[][..]));
        let (mut range, mut total) = (None, None);
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::RANGE => range = reader.optional(element, Reader::text)?,
                tags::TOTAL => total = reader.optional(element, Reader::number)?,
                tags::DATA => data = reader.base64(element)?,
                air_sync_base::CONTENT_TYPE => content_type = reader.text(element)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(Self::Attachment {
            content_type,
            data,
            range,
            total,
        })
    }
}

/// What became of one [`Fetch`](super::Fetch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAnswer<'a> {
    /// How it went.
    pub status: ItemOperationsStatus,
    /// The folder's id, if the request named it.
    pub collection_id: Option<Cow<'a, str>>,
    /// The item's id, if the request named it.
    pub server_id: Option<Cow<'a, str>>,
    /// The id that a Search gave, if the request named it.
    pub long_id: Option<Cow<'a, str>>,
    /// The attachment's reference, if the request named it.
    pub file_reference: Option<Cow<'a, str>>,
    /// The item's class.
    pub class: Option<Class>,
    /// What it brought, if it went well.
    pub content: Option<FetchedContent<'a>>,
}

impl FetchAnswer<'_> {
    /// An answer that holds only a status.
    #[must_use]
    pub const fn failed(status: ItemOperationsStatus) -> Self {
        Self {
            status,
            collection_id: None,
            server_id: None,
            long_id: None,
            file_reference: None,
            class: None,
            content: None,
        }
    }
}

/// What became of one [`EmptyFolderContents`](super::EmptyFolderContents).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyFolderContentsAnswer<'a> {
    /// How it went.
    pub status: ItemOperationsStatus,
    /// The folder's id.
    pub collection_id: Option<Cow<'a, str>>,
}

/// What became of one [`ConversationMove`](super::ConversationMove).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationMoveAnswer<'a> {
    /// How it went.
    pub status: ItemOperationsStatus,
    /// The conversation.
    pub conversation_id: Option<Cow<'a, [u8]>>,
}

/// An ItemOperations answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemOperationsAnswer<'a> {
    /// The command's status.
    pub status: ItemOperationsStatus,
    /// One per Fetch of the request, in its order.
    pub fetches: Vec<FetchAnswer<'a>>,
    /// One per EmptyFolderContents of the request.
    pub empties: Vec<EmptyFolderContentsAnswer<'a>>,
    /// One per Move of the request.
    pub moves: Vec<ConversationMoveAnswer<'a>>,
    /// Responses that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> ItemOperationsAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn failed(status: ItemOperationsStatus) -> Self {
        Self {
            status,
            fetches: Vec::new(),
            empties: Vec::new(),
            moves: Vec::new(),
            skipped: Skipped::default(),
        }
    }

    /// As a body, its elements in the order of the schema.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        self.write(&mut writer, version);
        writer.finish()
    }

    /// As a body in several parts (ASCMD 2.2.1.10.1): the document refers to bodies and attachments,
    /// which come after it as they are. [`multipart::read`] reads it.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode_multipart(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::detaching(tags::PART);
        self.write(&mut writer, version);
        let (document, values) = writer.finish_with_values()?;
        let mut parts = vec![document];
        parts.extend(values);
        multipart::write(&parts)
    }

    fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer
            .start(tags::ITEM_OPERATIONS)
            .number(tags::STATUS, self.status.code());
        if !(self.fetches.is_empty() && self.empties.is_empty() && self.moves.is_empty()) {
            writer.start(tags::RESPONSE);
            for one in &self.moves {
                writer
                    .start(tags::MOVE)
                    .number(tags::STATUS, one.status.code());
                if let Some(id) = &one.conversation_id {
                    writer.start(tags::CONVERSATION_ID).opaque(id).end();
                }
                writer.end();
            }
            for empty in &self.empties {
                writer
                    .start(tags::EMPTY_FOLDER_CONTENTS)
                    .number(tags::STATUS, empty.status.code());
                if let Some(id) = &empty.collection_id {
                    writer.element(air_sync::COLLECTION_ID, id);
                }
                writer.end();
            }
            for fetch in &self.fetches {
                if !writer.attempt(|writer| write_fetch_answer(writer, fetch, version)) {
                    // One that cannot be written must not cost the others.
                    let failed = FetchAnswer {
                        content: None,
                        status: ItemOperationsStatus::ConversionFailed,
                        ..fetch.clone()
                    };
                    writer.attempt(|writer| write_fetch_answer(writer, &failed, version));
                }
            }
            writer.end();
        }
        writer.end();
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ItemOperations answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::ITEM_OPERATIONS)?;
        let mut status = None;
        let mut answer = Self::failed(ItemOperationsStatus::Success);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::RESPONSE => {
                    while let Some(operation) = reader.child(element)? {
                        let mut skipped = std::mem::take(&mut answer.skipped);
                        skipped.item(&mut reader, operation, |reader, operation| {
                            answer.operation(reader, operation)
                        })?;
                        answer.skipped = skipped;
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::ITEM_OPERATIONS, tags::STATUS))?;
        answer.status = ItemOperationsStatus::from_code(status);
        reader.finish()?;
        Ok(answer)
    }

    fn operation(&mut self, reader: &mut Reader<'a>, parent: Element) -> Result<(), DecodeError> {
        if ![tags::FETCH, tags::EMPTY_FOLDER_CONTENTS, tags::MOVE].contains(&parent.tag) {
            return reader.skip(parent);
        }
        let (mut status, mut conversation_id) = (None, None);
        let mut fetch = FetchAnswer::failed(ItemOperationsStatus::Success);
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                air_sync::COLLECTION_ID => {
                    fetch.collection_id = reader.optional(element, Reader::text)?
                }
                air_sync::SERVER_ID => fetch.server_id = reader.optional(element, Reader::text)?,
                search::LONG_ID => fetch.long_id = reader.optional(element, Reader::text)?,
                air_sync_base::FILE_REFERENCE => {
                    fetch.file_reference = reader.optional(element, Reader::text)?;
                }
                air_sync::CLASS => fetch.class = Class::parse(&reader.text(element)?),
                tags::CONVERSATION_ID => {
                    conversation_id = reader.optional(element, Reader::bytes)?
                }
                tags::PROPERTIES => {
                    fetch.content = reader.optional(element, FetchedContent::read)?
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(parent.tag, tags::STATUS))?;
        let status = ItemOperationsStatus::from_code(status);
        match parent.tag {
            tags::FETCH => self.fetches.push(FetchAnswer { status, ..fetch }),
            tags::MOVE => self.moves.push(ConversationMoveAnswer {
                status,
                conversation_id,
            }),
            _ => self.empties.push(EmptyFolderContentsAnswer {
                status,
                collection_id: fetch.collection_id,
            }),
        }
        Ok(())
    }
}

fn write_fetch_answer(writer: &mut Writer, fetch: &FetchAnswer<'_>, version: ProtocolVersion) {
    writer
        .start(tags::FETCH)
        .number(tags::STATUS, fetch.status.code());
    for (tag, id) in [
        (air_sync::COLLECTION_ID, &fetch.collection_id),
        (air_sync::SERVER_ID, &fetch.server_id),
        (search::LONG_ID, &fetch.long_id),
        (air_sync_base::FILE_REFERENCE, &fetch.file_reference),
    ] {
        if let Some(id) = id {
            writer.element(tag, id);
        }
    }
    if let Some(class) = fetch.class {
        writer.element(air_sync::CLASS, class.as_str());
    }
    if let Some(content) = &fetch.content {
        content.write(writer, version);
    }
    writer.end();
}
