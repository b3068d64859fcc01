use std::borrow::Cow;

use super::item::{read_body_preference, read_email, write_body_preference, write_email};
use super::{BodyPreference, Class, Email};
use crate::ProtocolVersion;
use crate::status::ItemOperationsStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, air_sync, air_sync_base,
    item_operations as tags, search,
};

/// An item that is wanted whole, named by folder and id, by the id a Search gave, or by the
/// reference of an attachment (ASCMD 2.2.3.67.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetch<'a> {
    /// Where it is: [`Fetch::MAILBOX`] or `DocumentLibrary`.
    pub store: Cow<'a, str>,
    /// The folder's id.
    pub collection_id: Option<Cow<'a, str>>,
    /// The item's id.
    pub server_id: Option<Cow<'a, str>>,
    /// The id that a Search gave.
    pub long_id: Option<Cow<'a, str>>,
    /// The reference of an attachment.
    pub file_reference: Option<Cow<'a, str>>,
    /// In which form.
    pub body: Option<BodyPreference>,
}

impl Fetch<'_> {
    /// The store of mail.
    pub const MAILBOX: &'static str = "Mailbox";
}

/// An ItemOperations request (ASCMD 2.2.1.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemOperationsRequest<'a> {
    /// The items that are wanted, in order.
    pub fetches: Vec<Fetch<'a>>,
    /// How many EmptyFolderContents and Move operations the body held besides. Their content is
    /// not kept, so [`encode`](Self::encode) writes none.
    pub other_operations: usize,
}

impl<'a> ItemOperationsRequest<'a> {
    /// The most [`operations`](Self::operations) of one request; above, the answer is Status 11
    /// (ASCMD 3.1.5.10).
    pub const MAX_OPERATIONS: usize = 100;

    /// How many operations the request holds.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.fetches.len() + self.other_operations
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::ITEM_OPERATIONS);
        for fetch in &self.fetches {
            writer.start(tags::FETCH).element(tags::STORE, &fetch.store);
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
            if let Some(body) = fetch.body {
                writer.start(tags::OPTIONS);
                write_body_preference(&mut writer, body);
                writer.end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ItemOperations request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::ITEM_OPERATIONS)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::FETCH => request.fetches.push(fetch(&mut reader, element)?),
                tags::EMPTY_FOLDER_CONTENTS | tags::MOVE => {
                    request.other_operations += 1;
                    reader.skip(element)?;
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
    }
}

fn fetch<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Fetch<'a>, DecodeError> {
    let mut fetch = Fetch::default();
    let mut store = None;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STORE => store = Some(reader.text(element)?),
            air_sync::COLLECTION_ID => fetch.collection_id = Some(reader.text(element)?),
            air_sync::SERVER_ID => fetch.server_id = Some(reader.text(element)?),
            search::LONG_ID => fetch.long_id = Some(reader.text(element)?),
            air_sync_base::FILE_REFERENCE => fetch.file_reference = Some(reader.text(element)?),
            tags::OPTIONS => {
                while let Some(option) = reader.child(element)? {
                    if option.tag == air_sync_base::BODY_PREFERENCE {
                        fetch.body = Some(read_body_preference(reader, option)?);
                    } else {
                        reader.skip(option)?;
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    fetch.store = store.ok_or_else(|| reader.missing(tags::FETCH, tags::STORE))?;
    Ok(fetch)
}

/// What became of one [`Fetch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchAnswer<'a> {
    /// How it went.
    pub status: ItemOperationsStatus,
    /// The folder's id, if the request named it.
    pub collection_id: Option<Cow<'a, str>>,
    /// The item's id, if the request named it.
    pub server_id: Option<Cow<'a, str>>,
    /// The item's class.
    pub class: Option<Class>,
    /// Its content, if it went well. Items of other classes than Email, and attachments, have
    /// only empty fields.
    pub email: Option<Box<Email<'a>>>,
}

/// An ItemOperations answer. What became of other operations than Fetch is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemOperationsAnswer<'a> {
    /// The command's status.
    pub status: ItemOperationsStatus,
    /// One per Fetch of the request, in its order.
    pub fetches: Vec<FetchAnswer<'a>>,
}

impl<'a> ItemOperationsAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn failed(status: ItemOperationsStatus) -> Self {
        Self {
            status,
            fetches: Vec::new(),
        }
    }

    /// As a body, its elements in the order of the schema.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::ITEM_OPERATIONS)
            .number(tags::STATUS, self.status.code());
        if !self.fetches.is_empty() {
            writer.start(tags::RESPONSE);
            for fetch in &self.fetches {
                write_fetch_answer(&mut writer, fetch);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
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
                tags::STATUS => status = Some(reader.number(element)?),
                tags::RESPONSE => {
                    while let Some(operation) = reader.child(element)? {
                        if operation.tag == tags::FETCH {
                            answer.fetches.push(fetch_answer(&mut reader, operation)?);
                        } else {
                            reader.skip(operation)?;
                        }
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
}

fn write_fetch_answer(writer: &mut Writer, fetch: &FetchAnswer<'_>) {
    writer
        .start(tags::FETCH)
        .number(tags::STATUS, fetch.status.code());
    if let Some(id) = &fetch.collection_id {
        writer.element(air_sync::COLLECTION_ID, id);
    }
    if let Some(id) = &fetch.server_id {
        writer.element(air_sync::SERVER_ID, id);
    }
    if let Some(class) = fetch.class {
        writer.element(air_sync::CLASS, class.as_str());
    }
    if let Some(email) = &fetch.email {
        writer.start(tags::PROPERTIES);
        // ItemOperations began with 12.0.
        write_email(writer, email, ProtocolVersion::V12_0);
        writer.end();
    }
    writer.end();
}

fn fetch_answer<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<FetchAnswer<'a>, DecodeError> {
    let (mut status, mut class) = (None, None);
    let (mut collection_id, mut server_id) = (None, None);
    let mut email: Option<Box<Email<'a>>> = None;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STATUS => status = Some(reader.number(element)?),
            air_sync::COLLECTION_ID => collection_id = Some(reader.text(element)?),
            air_sync::SERVER_ID => server_id = Some(reader.text(element)?),
            air_sync::CLASS => class = Class::parse(&reader.text(element)?),
            tags::PROPERTIES => read_email(reader, element, email.get_or_insert_default())?,
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::FETCH, tags::STATUS))?;
    Ok(FetchAnswer {
        status: ItemOperationsStatus::from_code(status),
        collection_id,
        server_id,
        class,
        email,
    })
}
