use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::options::{SyncOptions, request_options, write_options};
use crate::ProtocolVersion;
use crate::commands::item::Sender;
use crate::commands::{Class, Elements, ItemChange, ItemData};
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, air_sync as tags, email2};

/// A change the client reports, or an item it asks for (ASCMD 2.2.3.32).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCommand<'a> {
    /// A new item.
    Add {
        /// The client's name for it until the answer gives it a server id.
        client_id: Cow<'a, str>,
        /// Its class; sent from 14.0 on only.
        class: Option<Class>,
        /// Its content; [`ItemData::Other`] if a value in it is wrong.
        data: ItemData<'a>,
        /// The message is to be sent, not kept as a draft; sent from 16.0 on only.
        send: bool,
    },
    /// A changed item.
    Change {
        /// Its id.
        server_id: Cow<'a, str>,
        /// What changed; `Data` of [`ItemData::Other`] if a value in it is wrong.
        change: ItemChange<'a>,
        /// The draft is to be sent; sent from 16.0 on only.
        send: bool,
    },
    /// An item that the client deleted.
    Delete {
        /// Its id.
        server_id: Cow<'a, str>,
    },
    /// An item that the client wants whole.
    Fetch {
        /// Its id.
        server_id: Cow<'a, str>,
    },
}

/// One collection of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncCollection<'a> {
    /// `0` to prime, then the key of the last answer.
    pub sync_key: Cow<'a, str>,
    /// The folder's id.
    pub id: Cow<'a, str>,
    /// Its class; sent up to 12.1 only.
    pub class: Option<Class>,
    /// The elements of its items that the client manages. Those that are not named are ghosted: they
    /// stay in an item where a Change leaves them out. Only with key 0, for contacts and appointments
    /// (ASCMD 2.2.3.179).
    pub supported: Option<Elements>,
    /// Deletions go to Deleted Items.
    pub deletes_as_moves: Option<bool>,
    /// Whether the server's changes are wanted. Absent means yes, except with key 0.
    pub get_changes: Option<bool>,
    /// At most so many changes in the answer; absent means 100.
    pub window_size: Option<u16>,
    /// Whole conversations are wanted, also what the filter leaves out; 14.0 and later.
    pub conversation_mode: Option<bool>,
    /// Options.
    pub options: Option<SyncOptions>,
    /// The client's changes, in order.
    pub commands: Vec<ClientCommand<'a>>,
}

/// A Sync request (ASCMD 2.2.1.21). An empty body, which repeats the last request, is no
/// `SyncRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncRequest<'a> {
    /// The collections.
    pub collections: Vec<SyncCollection<'a>>,
    /// Hanging Sync in minutes, within [`WAIT`](Self::WAIT). Signed, because out-of-range values
    /// must be answered with Status 14.
    pub wait: Option<i32>,
    /// Hanging Sync in seconds, within [`HEARTBEAT`](Self::HEARTBEAT); 14.0 and later.
    pub heartbeat: Option<i32>,
    /// At most so many changes in the whole answer.
    pub window_size: Option<u16>,
    /// Unnamed collections keep the settings of the last request.
    pub partial: bool,
}

impl<'a> SyncRequest<'a> {
    /// The minutes that `wait` may hold (ASCMD 2.2.3.198); beyond them the answer is Status 14
    /// with the nearer bound as Limit.
    pub const WAIT: RangeInclusive<i32> = 1..=59;
    /// The seconds that `heartbeat` may hold (ASCMD 2.2.3.88.2); beyond them the answer is
    /// Status 14 with the nearer bound as Limit.
    pub const HEARTBEAT: RangeInclusive<i32> = 60..=3540;
    /// The most [`operations`](Self::operations) of one request; above, the answer is Status 4
    /// (ASCMD 3.1.5.10).
    pub const MAX_OPERATIONS: usize = 200;

    /// How many commands of the client all collections hold together.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.collections
            .iter()
            .map(|collection| collection.commands.len())
            .sum()
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::SYNC);
        if !self.collections.is_empty() {
            writer.start(tags::COLLECTIONS);
            for collection in &self.collections {
                write_collection(&mut writer, collection, version);
            }
            writer.end();
        }
        if let Some(minutes) = self.wait {
            writer.number(tags::WAIT, minutes);
        }
        if let Some(seconds) = self.heartbeat {
            writer.number(tags::HEARTBEAT_INTERVAL, seconds);
        }
        if let Some(size) = self.window_size {
            writer.number(tags::WINDOW_SIZE, size);
        }
        if self.partial {
            writer.empty(tags::PARTIAL);
        }
        writer.end();
        writer.finish()
    }

    /// From a body of any version.
    ///
    /// # Errors
    /// When it is no Sync request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self::decode_in(body, |_| None)?.0)
    }

    /// From a body of any version, with the class of each collection by its id, as far as it is known:
    /// content of elements that all classes share has the class of its collection. Also returns which
    /// elements the content of each command names, by collection and command.
    ///
    /// # Errors
    /// When it is no Sync request.
    pub fn decode_in(
        body: &'a [u8],
        class_of: impl Fn(&str) -> Option<Class>,
    ) -> Result<(Self, Vec<Vec<Elements>>), DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SYNC)?;
        let (mut request, mut elements) = (Self::default(), Vec::new());
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::COLLECTIONS => {
                    while let Some(collection) = reader.child(element)? {
                        let read = request_collection(&mut reader, collection, &class_of)?;
                        request.collections.push(read.0);
                        elements.push(read.1);
                    }
                }
                tags::WAIT => request.wait = reader.optional(element, Reader::number)?,
                tags::HEARTBEAT_INTERVAL => {
                    request.heartbeat = reader.optional(element, Reader::number)?
                }
                tags::WINDOW_SIZE => request.window_size = reader.optional(element, window)?,
                tags::PARTIAL => request.partial = reader.flag(element)?,
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok((request, elements))
    }
}

fn write_collection(
    writer: &mut Writer,
    collection: &SyncCollection<'_>,
    version: ProtocolVersion,
) {
    writer.start(tags::COLLECTION);
    if let Some(class) = collection
        .class
        .filter(|_| version <= ProtocolVersion::V12_1)
    {
        writer.element(tags::CLASS, class.as_str());
    }
    writer.element(tags::SYNC_KEY, &collection.sync_key);
    writer.element(tags::COLLECTION_ID, &collection.id);
    if let Some(supported) = &collection.supported {
        writer.start(tags::SUPPORTED);
        for tag in supported.iter() {
            writer.empty(tag);
        }
        writer.end_or_empty();
    }
    if let Some(flag) = collection.deletes_as_moves {
        writer.flag(tags::DELETES_AS_MOVES, flag);
    }
    if let Some(flag) = collection.get_changes {
        writer.flag(tags::GET_CHANGES, flag);
    }
    if let Some(size) = collection.window_size {
        writer.number(tags::WINDOW_SIZE, size);
    }
    if let Some(flag) = collection
        .conversation_mode
        .filter(|_| version >= ProtocolVersion::V14_0)
    {
        writer.flag(tags::CONVERSATION_MODE, flag);
    }
    if let Some(options) = &collection.options {
        write_options(writer, options, version);
    }
    if !collection.commands.is_empty() {
        writer.start(tags::COMMANDS);
        for command in &collection.commands {
            write_command(writer, command, version);
        }
        writer.end();
    }
    writer.end();
}

fn write_command(writer: &mut Writer, command: &ClientCommand<'_>, version: ProtocolVersion) {
    match command {
        ClientCommand::Add {
            client_id,
            class,
            data,
            send,
        } => {
            writer.start(tags::ADD);
            if let Some(class) = class.filter(|_| version >= ProtocolVersion::V14_0) {
                writer.element(tags::CLASS, class.as_str());
            }
            writer.element(tags::CLIENT_ID, client_id);
            data.write_in(tags::APPLICATION_DATA, writer, version, Sender::Client);
            write_send(writer, *send, version);
        }
        ClientCommand::Change {
            server_id,
            change,
            send,
        } => {
            writer
                .start(tags::CHANGE)
                .element(tags::SERVER_ID, server_id);
            change.write_in(tags::APPLICATION_DATA, writer, version, Sender::Client);
            write_send(writer, *send, version);
        }
        ClientCommand::Delete { server_id } => {
            writer
                .start(tags::DELETE)
                .element(tags::SERVER_ID, server_id);
        }
        ClientCommand::Fetch { server_id } => {
            writer
                .start(tags::FETCH)
                .element(tags::SERVER_ID, server_id);
        }
    }
    writer.end();
}

fn write_send(writer: &mut Writer, send: bool, version: ProtocolVersion) {
    if send && version >= ProtocolVersion::V16_0 {
        writer.empty(email2::SEND);
    }
}

fn request_collection<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
    class_of: &impl Fn(&str) -> Option<Class>,
) -> Result<(SyncCollection<'a>, Vec<Elements>), DecodeError> {
    let mut collection = SyncCollection::default();
    let (mut sync_key, mut id) = (None, None);
    let (mut sms_options, mut elements) = (None, Vec::new());
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::CLASS => collection.class = Class::parse(&reader.text(element)?),
            tags::SYNC_KEY => sync_key = Some(reader.text(element)?),
            tags::COLLECTION_ID => id = Some(reader.text(element)?),
            tags::SUPPORTED => collection.supported = Some(supported(reader, element)?),
            tags::DELETES_AS_MOVES => {
                collection.deletes_as_moves = reader.optional(element, Reader::flag)?
            }
            tags::GET_CHANGES => collection.get_changes = Some(reader.flag(element)?),
            tags::WINDOW_SIZE => collection.window_size = reader.optional(element, window)?,
            tags::CONVERSATION_MODE => {
                collection.conversation_mode = reader.optional(element, Reader::flag)?
            }
            tags::OPTIONS => {
                let (options, is_sms) = request_options(reader, element)?;
                let place = match is_sms {
                    true => &mut sms_options,
                    false => &mut collection.options,
                };
                // One for messages and one for text messages (ASCMD 2.2.3.125.6).
                if place.replace(options).is_some() {
                    return Err(reader.repeated(parent.tag, element.tag));
                }
            }
            tags::COMMANDS => {
                let class = id.as_deref().and_then(class_of);
                while let Some(command) = reader.child(element)? {
                    if let Some(read) = client_command(reader, command, class)? {
                        collection.commands.push(read.0);
                        elements.push(read.1);
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    // Text messages share a collection with mail alone.
    let others = collection.options.as_ref().and_then(|one| one.class);
    if sms_options.is_some() && !matches!(others, None | Some(Class::Email)) {
        return Err(reader.repeated(parent.tag, tags::OPTIONS));
    }
    collection.sync_key = sync_key.ok_or_else(|| reader.missing(parent.tag, tags::SYNC_KEY))?;
    collection.id = id.ok_or_else(|| reader.missing(parent.tag, tags::COLLECTION_ID))?;
    Ok((collection, elements))
}

fn supported(reader: &mut Reader<'_>, parent: Element) -> Result<Elements, DecodeError> {
    let elements = Elements::ahead(reader, parent)?;
    reader.skip(parent)?;
    Ok(elements)
}

/// A window. Everything above 512 means 512 (ASCMD 2.2.3.199), so a number that does not fit is no error.
fn window(reader: &mut Reader<'_>, element: Element) -> Result<u16, DecodeError> {
    let size: u32 = reader.number(element)?;
    Ok(u16::try_from(size).unwrap_or(u16::MAX))
}

fn client_command<'a>(
    reader: &mut Reader<'a>,
    command: Element,
    collection: Option<Class>,
) -> Result<Option<(ClientCommand<'a>, Elements)>, DecodeError> {
    let mut elements = Elements::default();
    let (mut server_id, mut client_id, mut class) = (None, None, None);
    let (mut data, mut change) = (ItemData::Other, ItemChange::Nothing);
    let mut send = false;
    while let Some(element) = reader.child(command)? {
        match element.tag {
            email2::SEND => send = reader.flag(element)?,
            tags::SERVER_ID => server_id = Some(reader.text(element)?),
            tags::CLIENT_ID => client_id = Some(reader.text(element)?),
            tags::CLASS => class = Class::parse(&reader.text(element)?),
            // A wrong value concerns this item only (Status 6, ASCMD 2.2.3.177.17).
            tags::APPLICATION_DATA if command.tag == tags::ADD => {
                elements = Elements::ahead(reader, element)?;
                let read = reader.attempt(element, |reader, element| {
                    ItemData::read_in(reader, element, collection)
                })?;
                data = read.unwrap_or(ItemData::Other);
            }
            tags::APPLICATION_DATA => {
                elements = Elements::ahead(reader, element)?;
                let read = reader.attempt(element, |reader, element| {
                    ItemChange::read_in(reader, element, collection)
                })?;
                change = read.unwrap_or(ItemChange::Data(ItemData::Other));
            }
            _ => reader.skip(element)?,
        }
    }
    let read = if command.tag == tags::ADD {
        ClientCommand::Add {
            client_id: client_id.ok_or_else(|| reader.missing(tags::ADD, tags::CLIENT_ID))?,
            class,
            data,
            send,
        }
    } else {
        let server_id = server_id.ok_or_else(|| reader.missing(command.tag, tags::SERVER_ID))?;
        match command.tag {
            tags::CHANGE => ClientCommand::Change {
                server_id,
                change,
                send,
            },
            tags::DELETE => ClientCommand::Delete { server_id },
            tags::FETCH => ClientCommand::Fetch { server_id },
            _ => return Ok(None),
        }
    };
    Ok(Some((read, elements)))
}
