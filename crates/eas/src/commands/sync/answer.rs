use std::borrow::Cow;

use crate::ProtocolVersion;
use crate::commands::item::Sender;
use crate::commands::{AddedAttachment, ItemChange, ItemData, Skipped};
use crate::status::SyncStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, air_sync as tags};

/// A change the server reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new item.
    Add {
        /// Its id.
        server_id: Cow<'a, str>,
        /// Its content.
        data: ItemData<'a>,
    },
    /// A changed item.
    Update {
        /// Its id.
        server_id: Cow<'a, str>,
        /// What changed.
        change: ItemChange<'a>,
    },
    /// An item that is gone.
    Delete {
        /// Its id.
        server_id: Cow<'a, str>,
    },
    /// An item that left the filter's window.
    SoftDelete {
        /// Its id.
        server_id: Cow<'a, str>,
    },
}

/// What became of a command of the client (ASCMD 2.2.3.154). Most changes and all deletions that
/// went well have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandResponse<'a> {
    /// Of an added item.
    Add {
        /// The client's name for it.
        client_id: Cow<'a, str>,
        /// Its id from now on; absent if it was refused.
        server_id: Option<Cow<'a, str>>,
        /// How it went.
        status: SyncStatus,
        /// The attachments that the client has added with it; 16.0 and later.
        attachments: Vec<AddedAttachment<'a>>,
    },
    /// Of a changed item.
    Change {
        /// Its id.
        server_id: Cow<'a, str>,
        /// How it went.
        status: SyncStatus,
        /// The attachments that the client has added to it; 16.0 and later.
        attachments: Vec<AddedAttachment<'a>>,
    },
    /// Of an item that the client deleted.
    Delete {
        /// Its id.
        server_id: Cow<'a, str>,
        /// How it went.
        status: SyncStatus,
    },
    /// Of an item that was asked for.
    Fetch {
        /// Its id.
        server_id: Cow<'a, str>,
        /// How it went.
        status: SyncStatus,
        /// Its content, if it went well.
        data: Option<ItemData<'a>>,
    },
}

/// One collection of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionAnswer<'a> {
    /// The key of the next request.
    pub sync_key: Cow<'a, str>,
    /// The folder's id.
    pub id: Cow<'a, str>,
    /// How it went.
    pub status: SyncStatus,
    /// More changes remain.
    pub more_available: bool,
    /// The changes, in order.
    pub changes: Vec<Change<'a>>,
    /// What became of the client's commands.
    pub responses: Vec<CommandResponse<'a>>,
    /// Changes and responses that do not fit the schema.
    pub skipped: Skipped,
}

/// A Sync answer. An empty body means that nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncAnswer<'a> {
    /// A failure of the whole command.
    pub status: Option<SyncStatus>,
    /// Status 14 and 15: the nearest value the server accepts.
    pub limit: Option<u32>,
    /// The collections that have something to say.
    pub collections: Vec<CollectionAnswer<'a>>,
    /// Collections that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> SyncAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn failed(status: SyncStatus) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// As a body. Up to 2.5 a message's body is an element of the Email class. A change or a response with
    /// a text that cannot be a WBXML string is left out: it must not cost the others.
    ///
    /// # Errors
    /// When a key or an id cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::SYNC);
        if let Some(status) = self.status {
            writer.number(tags::STATUS, status.code());
        }
        if let Some(limit) = self.limit {
            writer.number(tags::LIMIT, limit);
        }
        if !self.collections.is_empty() {
            writer.start(tags::COLLECTIONS);
            for collection in &self.collections {
                write_answer(&mut writer, collection, version);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body; an empty one is an answer without collections.
    ///
    /// # Errors
    /// When it is no Sync answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut answer = Self::default();
        if body.is_empty() {
            return Ok(answer);
        }
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SYNC)?;
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => {
                    let code = reader.optional(element, Reader::number)?;
                    answer.status = code.map(SyncStatus::from_code);
                }
                tags::LIMIT => answer.limit = reader.optional(element, Reader::number)?,
                tags::COLLECTIONS => {
                    while let Some(collection) = reader.child(element)? {
                        let skipped = &mut answer.skipped;
                        let read = skipped.item(&mut reader, collection, answer_collection)?;
                        answer.collections.extend(read);
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(answer)
    }
}

fn write_answer(writer: &mut Writer, collection: &CollectionAnswer<'_>, version: ProtocolVersion) {
    writer.start(tags::COLLECTION);
    writer.element(tags::SYNC_KEY, &collection.sync_key);
    writer.element(tags::COLLECTION_ID, &collection.id);
    writer.number(tags::STATUS, collection.status.code());
    if collection.more_available {
        writer.empty(tags::MORE_AVAILABLE);
    }
    if !collection.changes.is_empty() {
        writer.start(tags::COMMANDS);
        for change in &collection.changes {
            writer.attempt(|writer| write_change(writer, change, version));
        }
        writer.end();
    }
    if !collection.responses.is_empty() {
        writer.start(tags::RESPONSES);
        for response in &collection.responses {
            writer.attempt(|writer| write_response(writer, response, version));
        }
        writer.end();
    }
    writer.end();
}

fn write_change(writer: &mut Writer, change: &Change<'_>, version: ProtocolVersion) {
    let (tag, server_id) = match change {
        Change::Add { server_id, .. } => (tags::ADD, server_id),
        Change::Update { server_id, .. } => (tags::CHANGE, server_id),
        Change::Delete { server_id } => (tags::DELETE, server_id),
        Change::SoftDelete { server_id } => (tags::SOFT_DELETE, server_id),
    };
    writer.start(tag).element(tags::SERVER_ID, server_id);
    match change {
        Change::Add { data, .. } => {
            data.write_in(tags::APPLICATION_DATA, writer, version, Sender::Server);
        }
        Change::Update { change, .. } => {
            change.write_in(tags::APPLICATION_DATA, writer, version, Sender::Server);
        }
        Change::Delete { .. } | Change::SoftDelete { .. } => {}
    }
    writer.end();
}

fn write_response(writer: &mut Writer, response: &CommandResponse<'_>, version: ProtocolVersion) {
    match response {
        CommandResponse::Add {
            client_id,
            server_id,
            status,
            attachments,
        } => {
            writer.start(tags::ADD).element(tags::CLIENT_ID, client_id);
            if let Some(server_id) = server_id {
                writer.element(tags::SERVER_ID, server_id);
            }
            writer.number(tags::STATUS, status.code());
            AddedAttachment::write_all(attachments, writer);
        }
        CommandResponse::Change {
            server_id,
            status,
            attachments,
        } => {
            writer
                .start(tags::CHANGE)
                .element(tags::SERVER_ID, server_id)
                .number(tags::STATUS, status.code());
            AddedAttachment::write_all(attachments, writer);
        }
        CommandResponse::Delete { server_id, status } => {
            writer
                .start(tags::DELETE)
                .element(tags::SERVER_ID, server_id)
                .number(tags::STATUS, status.code());
        }
        CommandResponse::Fetch {
            server_id,
            status,
            data,
        } => {
            writer
                .start(tags::FETCH)
                .element(tags::SERVER_ID, server_id)
                .number(tags::STATUS, status.code());
            if let Some(data) = data {
                data.write_in(tags::APPLICATION_DATA, writer, version, Sender::Server);
            }
        }
    }
    writer.end();
}

fn answer_collection<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<CollectionAnswer<'a>, DecodeError> {
    let mut answer = CollectionAnswer {
        sync_key: Cow::Borrowed(""),
        id: Cow::Borrowed(""),
        status: SyncStatus::Success,
        more_available: false,
        changes: Vec::new(),
        responses: Vec::new(),
        skipped: Skipped::default(),
    };
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::SYNC_KEY => answer.sync_key = reader.text(element)?,
            tags::COLLECTION_ID => answer.id = reader.text(element)?,
            tags::STATUS => {
                if let Some(code) = reader.optional(element, Reader::number)? {
                    answer.status = SyncStatus::from_code(code);
                }
            }
            tags::MORE_AVAILABLE => answer.more_available = reader.flag(element)?,
            tags::COMMANDS => {
                while let Some(command) = reader.child(element)? {
                    let read = answer.skipped.item(reader, command, change)?;
                    answer.changes.extend(read.flatten());
                }
            }
            tags::RESPONSES => {
                while let Some(command) = reader.child(element)? {
                    let read = answer.skipped.item(reader, command, response)?;
                    answer.responses.extend(read.flatten());
                }
            }
            _ => reader.skip(element)?,
        }
    }
    Ok(answer)
}

fn change<'a>(
    reader: &mut Reader<'a>,
    command: Element,
) -> Result<Option<Change<'a>>, DecodeError> {
    let mut server_id = None;
    let (mut data, mut change) = (ItemData::Other, ItemChange::Nothing);
    while let Some(element) = reader.child(command)? {
        match element.tag {
            tags::SERVER_ID => server_id = Some(reader.text(element)?),
            tags::APPLICATION_DATA if command.tag == tags::ADD => {
                data = ItemData::read(reader, element)?;
            }
            tags::APPLICATION_DATA => change = ItemChange::read(reader, element)?,
            _ => reader.skip(element)?,
        }
    }
    let server_id = server_id.ok_or_else(|| reader.missing(command.tag, tags::SERVER_ID))?;
    Ok(match command.tag {
        tags::ADD => Some(Change::Add { server_id, data }),
        tags::CHANGE => Some(Change::Update { server_id, change }),
        tags::DELETE => Some(Change::Delete { server_id }),
        tags::SOFT_DELETE => Some(Change::SoftDelete { server_id }),
        _ => None,
    })
}

fn response<'a>(
    reader: &mut Reader<'a>,
    command: Element,
) -> Result<Option<CommandResponse<'a>>, DecodeError> {
    let (mut client_id, mut server_id, mut status) = (None, None, None);
    let (mut data, mut attachments) = (None, Vec::new());
    while let Some(element) = reader.child(command)? {
        match element.tag {
            tags::CLIENT_ID => client_id = Some(reader.text(element)?),
            tags::SERVER_ID => server_id = Some(reader.text(element)?),
            tags::STATUS => {
                let code = reader.optional(element, Reader::number)?;
                status = code.map(SyncStatus::from_code);
            }
            tags::APPLICATION_DATA if command.tag == tags::FETCH => {
                data = reader.optional(element, ItemData::read)?;
            }
            tags::APPLICATION_DATA => attachments = AddedAttachment::read_all(reader, element)?,
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(command.tag, tags::STATUS))?;
    if command.tag == tags::ADD {
        let client_id = client_id.ok_or_else(|| reader.missing(tags::ADD, tags::CLIENT_ID))?;
        // Only here it is optional.
        let server_id = server_id.filter(|id| !id.trim().is_empty());
        return Ok(Some(CommandResponse::Add {
            client_id,
            server_id,
            status,
            attachments,
        }));
    }
    let server_id = server_id.ok_or_else(|| reader.missing(command.tag, tags::SERVER_ID))?;
    Ok(match command.tag {
        tags::CHANGE => Some(CommandResponse::Change {
            server_id,
            status,
            attachments,
        }),
        tags::DELETE => Some(CommandResponse::Delete { server_id, status }),
        tags::FETCH => Some(CommandResponse::Fetch {
            server_id,
            status,
            data,
        }),
        _ => None,
    })
}
