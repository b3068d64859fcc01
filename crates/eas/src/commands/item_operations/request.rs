use std::borrow::Cow;

use crate::commands::BodyPreference;
use crate::commands::item::{read_body_preference, write_body_preference};
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Tag, Writer, air_sync, air_sync_base,
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
    /// The forms of a body that the client takes.
    pub bodies: Vec<BodyPreference>,
    /// The form of the part of a message that is wanted; 14.1 and later.
    pub body_part: Option<BodyPreference>,
    /// Whether MIME is wanted: 0 never, 1 for S/MIME messages, 2 for all.
    pub mime_support: Option<u8>,
    /// Only these bytes of an attachment, from the first to the last, counted from 0.
    pub range: Option<(u32, u32)>,
}

impl Fetch<'_> {
    /// The store of mail.
    pub const MAILBOX: &'static str = "Mailbox";
}

/// A folder that is to be emptied (ASCMD, EmptyFolderContents).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EmptyFolderContents<'a> {
    /// The folder's id.
    pub collection_id: Cow<'a, str>,
    /// Its folders go too.
    pub delete_sub_folders: bool,
}

/// A conversation that is to go to another folder; 14.0 and later (ASCMD, Move (ItemOperations)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConversationMove<'a> {
    /// The conversation.
    pub conversation_id: Cow<'a, [u8]>,
    /// The folder it goes to.
    pub to: Cow<'a, str>,
    /// Messages to come go there too.
    pub always: bool,
}

/// An ItemOperations request (ASCMD 2.2.1.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemOperationsRequest<'a> {
    /// The items that are wanted, in order.
    pub fetches: Vec<Fetch<'a>>,
    /// The folders that are to be emptied.
    pub empties: Vec<EmptyFolderContents<'a>>,
    /// The conversations that are to move.
    pub moves: Vec<ConversationMove<'a>>,
}

impl<'a> ItemOperationsRequest<'a> {
    /// The most [`operations`](Self::operations) of one request; above, the answer is Status 11
    /// (ASCMD 3.1.5.10).
    pub const MAX_OPERATIONS: usize = 100;

    /// How many operations the request holds.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.fetches.len() + self.empties.len() + self.moves.len()
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::ITEM_OPERATIONS);
        for empty in &self.empties {
            writer
                .start(tags::EMPTY_FOLDER_CONTENTS)
                .element(air_sync::COLLECTION_ID, &empty.collection_id);
            if empty.delete_sub_folders {
                writer
                    .start(tags::OPTIONS)
                    .empty(tags::DELETE_SUB_FOLDERS)
                    .end();
            }
            writer.end();
        }
        for fetch in &self.fetches {
            write_fetch(&mut writer, fetch);
        }
        for one in &self.moves {
            writer
                .start(tags::MOVE)
                .start(tags::CONVERSATION_ID)
                .opaque(&one.conversation_id)
                .end()
                .element(tags::DST_FLD_ID, &one.to);
            if one.always {
                writer.start(tags::OPTIONS).empty(tags::MOVE_ALWAYS).end();
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
                tags::EMPTY_FOLDER_CONTENTS => request.empties.push(empty(&mut reader, element)?),
                tags::MOVE => request.moves.push(one_move(&mut reader, element)?),
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
    }
}

fn write_fetch(writer: &mut Writer, fetch: &Fetch<'_>) {
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
    let has_bodies = !fetch.bodies.is_empty() || fetch.body_part.is_some();
    if has_bodies || fetch.mime_support.is_some() || fetch.range.is_some() {
        writer.start(tags::OPTIONS);
        if let Some(mime_support) = fetch.mime_support {
            writer.number(air_sync::MIME_SUPPORT, mime_support);
        }
        if let Some((first, last)) = fetch.range {
            writer.element(tags::RANGE, &format!("{first}-{last}"));
        }
        for body in &fetch.bodies {
            write_body_preference(writer, air_sync_base::BODY_PREFERENCE, *body);
        }
        if let Some(part) = fetch.body_part {
            write_body_preference(writer, air_sync_base::BODY_PART_PREFERENCE, part);
        }
        writer.end();
    }
    writer.end();
}

fn fetch<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Fetch<'a>, DecodeError> {
    let mut fetch = Fetch::default();
    let mut store = None;
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STORE => store = Some(reader.text(element)?),
            air_sync::COLLECTION_ID => {
                fetch.collection_id = reader.optional(element, Reader::text)?
            }
            air_sync::SERVER_ID => fetch.server_id = reader.optional(element, Reader::text)?,
            search::LONG_ID => fetch.long_id = reader.optional(element, Reader::text)?,
            air_sync_base::FILE_REFERENCE => {
                fetch.file_reference = reader.optional(element, Reader::text)?
            }
            tags::OPTIONS => {
                while let Some(option) = reader.child(element)? {
                    match option.tag {
                        air_sync_base::BODY_PREFERENCE => {
                            let body = reader.optional(option, read_body_preference)?;
                            fetch.bodies.extend(body);
                        }
                        air_sync_base::BODY_PART_PREFERENCE => {
                            let part = read_body_preference(reader, option)?;
                            if fetch.body_part.replace(part).is_some() {
                                return Err(reader.repeated(element.tag, option.tag));
                            }
                        }
                        air_sync::MIME_SUPPORT => {
                            fetch.mime_support = reader.optional(option, Reader::number)?;
                        }
                        tags::RANGE => fetch.range = reader.optional(option, Reader::range)?,
                        _ => reader.skip(option)?,
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    fetch.store = store.ok_or_else(|| reader.missing(tags::FETCH, tags::STORE))?;
    Ok(fetch)
}

fn empty<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<EmptyFolderContents<'a>, DecodeError> {
    let (mut collection_id, mut delete_sub_folders) = (None, false);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            air_sync::COLLECTION_ID => collection_id = Some(reader.text(element)?),
            tags::OPTIONS => {
                delete_sub_folders |= option(reader, element, tags::DELETE_SUB_FOLDERS)?
            }
            _ => reader.skip(element)?,
        }
    }
    let collection_id =
        collection_id.ok_or_else(|| reader.missing(parent.tag, air_sync::COLLECTION_ID))?;
    Ok(EmptyFolderContents {
        collection_id,
        delete_sub_folders,
    })
}

fn one_move<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<ConversationMove<'a>, DecodeError> {
    let (mut conversation, mut to, mut always) = (None, None, false);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::CONVERSATION_ID => conversation = Some(reader.bytes(element)?),
            tags::DST_FLD_ID => to = Some(reader.text(element)?),
            tags::OPTIONS => always |= option(reader, element, tags::MOVE_ALWAYS)?,
            _ => reader.skip(element)?,
        }
    }
    let missing = |tag| reader.missing(tags::MOVE, tag);
    Ok(ConversationMove {
        conversation_id: conversation.ok_or_else(|| missing(tags::CONVERSATION_ID))?,
        to: to.ok_or_else(|| missing(tags::DST_FLD_ID))?,
        always,
    })
}

/// Whether an option that is there or not is there.
fn option(reader: &mut Reader<'_>, options: Element, wanted: Tag) -> Result<bool, DecodeError> {
    let mut found = false;
    while let Some(element) = reader.child(options)? {
        if element.tag == wanted {
            found = reader.flag(element)?;
        } else {
            reader.skip(element)?;
        }
    }
    Ok(found)
}
