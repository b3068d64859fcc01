use std::borrow::Cow;

use super::Class;
use crate::ProtocolVersion;
use crate::status::SyncStatus;
use crate::wbxml::{
    DecodeError, Element, EncodeError, Reader, Writer, air_sync as tags, air_sync_base, email,
};

/// How far back a collection reaches (ASCMD 2.2.3.68.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FilterType(pub u8);

impl FilterType {
    /// Everything.
    pub const ALL: Self = Self(0);
    /// Three days back, a usual setting of phones.
    pub const THREE_DAYS: Self = Self(2);
}

/// The form in which message bodies are wanted (ASCMD 2.2.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPreference {
    /// 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// At most so many bytes.
    pub truncation_size: Option<u32>,
}

/// Options of a collection (ASCMD 2.2.3.125.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncOptions {
    /// How far back.
    pub filter: Option<FilterType>,
    /// In which form.
    pub body: Option<BodyPreference>,
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
    /// Deletions go to Deleted Items.
    pub deletes_as_moves: Option<bool>,
    /// Whether the server's changes are wanted. Absent means yes, except with key 0.
    pub get_changes: Option<bool>,
    /// At most so many changes in the answer; absent means 100.
    pub window_size: Option<u16>,
    /// Options.
    pub options: Option<SyncOptions>,
}

/// A Sync request (ASCMD 2.2.1.21). An empty body, which repeats the last request, is no
/// `SyncRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncRequest<'a> {
    /// The collections.
    pub collections: Vec<SyncCollection<'a>>,
    /// Hanging Sync in minutes, 1 to 59. Signed, because out-of-range values must be answered
    /// with Status 14.
    pub wait: Option<i32>,
    /// Hanging Sync in seconds, 60 to 3,540; 14.0 and later.
    pub heartbeat: Option<i32>,
    /// At most so many changes in the whole answer.
    pub window_size: Option<u16>,
    /// Unnamed collections keep the settings of the last request.
    pub partial: bool,
}

impl<'a> SyncRequest<'a> {
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
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::SYNC)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::COLLECTIONS => {
                    while let Some(collection) = reader.child(element)? {
                        request
                            .collections
                            .push(request_collection(&mut reader, collection)?);
                    }
                }
                tags::WAIT => request.wait = Some(reader.number(element)?),
                tags::HEARTBEAT_INTERVAL => request.heartbeat = Some(reader.number(element)?),
                tags::WINDOW_SIZE => request.window_size = Some(reader.number(element)?),
                tags::PARTIAL => request.partial = reader.flag(element)?,
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
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
    if let Some(flag) = collection.deletes_as_moves {
        writer.flag(tags::DELETES_AS_MOVES, flag);
    }
    if let Some(flag) = collection.get_changes {
        writer.flag(tags::GET_CHANGES, flag);
    }
    if let Some(size) = collection.window_size {
        writer.number(tags::WINDOW_SIZE, size);
    }
    if let Some(options) = &collection.options {
        writer.start(tags::OPTIONS);
        if let Some(filter) = options.filter {
            writer.number(tags::FILTER_TYPE, filter.0);
        }
        if let Some(body) = options.body {
            writer.start(air_sync_base::BODY_PREFERENCE);
            writer.number(air_sync_base::TYPE, body.body_type);
            if let Some(size) = body.truncation_size {
                writer.number(air_sync_base::TRUNCATION_SIZE, size);
            }
            writer.end();
        }
        writer.end();
    }
    writer.end();
}

fn request_collection<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<SyncCollection<'a>, DecodeError> {
    let mut collection = SyncCollection::default();
    let (mut sync_key, mut id) = (None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::CLASS => collection.class = Class::parse(&reader.text(element)?),
            tags::SYNC_KEY => sync_key = Some(reader.text(element)?),
            tags::COLLECTION_ID => id = Some(reader.text(element)?),
            tags::DELETES_AS_MOVES => collection.deletes_as_moves = Some(reader.flag(element)?),
            tags::GET_CHANGES => collection.get_changes = Some(reader.flag(element)?),
            tags::WINDOW_SIZE => collection.window_size = Some(reader.number(element)?),
            tags::OPTIONS => collection.options = Some(request_options(reader, element)?),
            _ => reader.skip(element)?,
        }
    }
    collection.sync_key = sync_key.ok_or_else(|| reader.missing(parent.tag, tags::SYNC_KEY))?;
    collection.id = id.ok_or_else(|| reader.missing(parent.tag, tags::COLLECTION_ID))?;
    Ok(collection)
}

fn request_options(reader: &mut Reader<'_>, parent: Element) -> Result<SyncOptions, DecodeError> {
    let mut options = SyncOptions::default();
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::FILTER_TYPE => options.filter = Some(FilterType(reader.number(element)?)),
            air_sync_base::BODY_PREFERENCE => {
                let mut body = BodyPreference {
                    body_type: 1,
                    truncation_size: None,
                };
                while let Some(field) = reader.child(element)? {
                    match field.tag {
                        air_sync_base::TYPE => body.body_type = reader.number(field)?,
                        air_sync_base::TRUNCATION_SIZE => {
                            body.truncation_size = Some(reader.number(field)?);
                        }
                        _ => reader.skip(field)?,
                    }
                }
                options.body = Some(body);
            }
            _ => reader.skip(element)?,
        }
    }
    Ok(options)
}

/// The parts of a message that a device keeps (MS-ASEMAIL 2.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Email<'a> {
    /// Sender.
    pub from: Cow<'a, str>,
    /// Recipients.
    pub to: Cow<'a, str>,
    /// Subject.
    pub subject: Cow<'a, str>,
    /// When the server received it, `2026-03-14T03:00:00.000Z`.
    pub date_received: Cow<'a, str>,
    /// Read by the user.
    pub read: bool,
    /// The body's text, cut to the wanted size.
    pub body: Cow<'a, str>,
}

/// A change the server reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// A new item. Items of other classes than Email have only empty fields.
    Add {
        /// Its id.
        server_id: Cow<'a, str>,
        /// Its content.
        email: Box<Email<'a>>,
    },
    /// A changed item.
    Update {
        /// Its id.
        server_id: Cow<'a, str>,
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

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
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
                write_answer(&mut writer, collection);
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
                    answer.status = Some(SyncStatus::from_code(reader.number(element)?))
                }
                tags::LIMIT => answer.limit = Some(reader.number(element)?),
                tags::COLLECTIONS => {
                    while let Some(collection) = reader.child(element)? {
                        answer
                            .collections
                            .push(answer_collection(&mut reader, collection)?);
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(answer)
    }
}

fn write_answer(writer: &mut Writer, collection: &CollectionAnswer<'_>) {
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
            match change {
                Change::Add { server_id, email } => {
                    writer.start(tags::ADD).element(tags::SERVER_ID, server_id);
                    write_email(writer, email);
                    writer.end();
                }
                Change::Update { server_id } => {
                    writer
                        .start(tags::CHANGE)
                        .element(tags::SERVER_ID, server_id);
                    writer.empty(tags::APPLICATION_DATA).end();
                }
                Change::Delete { server_id } => {
                    writer
                        .start(tags::DELETE)
                        .element(tags::SERVER_ID, server_id)
                        .end();
                }
                Change::SoftDelete { server_id } => {
                    writer
                        .start(tags::SOFT_DELETE)
                        .element(tags::SERVER_ID, server_id)
                        .end();
                }
            }
        }
        writer.end();
    }
    writer.end();
}

fn write_email(writer: &mut Writer, item: &Email<'_>) {
    /// `Body/Type` 1 is plain text (ASAIRS 2.2.2.41).
    const PLAIN_TEXT: u8 = 1;
    writer.start(tags::APPLICATION_DATA);
    writer.element(email::TO, &item.to);
    writer.element(email::FROM, &item.from);
    writer.element(email::SUBJECT, &item.subject);
    writer.element(email::DATE_RECEIVED, &item.date_received);
    writer.flag(email::READ, item.read);
    writer
        .start(air_sync_base::BODY)
        .number(air_sync_base::TYPE, PLAIN_TEXT);
    writer.element(
        air_sync_base::ESTIMATED_DATA_SIZE,
        &item.body.len().to_string(),
    );
    writer.element(air_sync_base::DATA, &item.body).end();
    writer.element(email::MESSAGE_CLASS, "IPM.Note");
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
    };
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::SYNC_KEY => answer.sync_key = reader.text(element)?,
            tags::COLLECTION_ID => answer.id = reader.text(element)?,
            tags::STATUS => answer.status = SyncStatus::from_code(reader.number(element)?),
            tags::MORE_AVAILABLE => answer.more_available = reader.flag(element)?,
            tags::COMMANDS => {
                while let Some(command) = reader.child(element)? {
                    answer.changes.extend(change(reader, command)?);
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
    let mut email = Box::<Email<'a>>::default();
    while let Some(element) = reader.child(command)? {
        match element.tag {
            tags::SERVER_ID => server_id = Some(reader.text(element)?),
            tags::APPLICATION_DATA => read_email(reader, element, &mut email)?,
            _ => reader.skip(element)?,
        }
    }
    let server_id = server_id.ok_or_else(|| reader.missing(command.tag, tags::SERVER_ID))?;
    Ok(match command.tag {
        tags::ADD => Some(Change::Add { server_id, email }),
        tags::CHANGE => Some(Change::Update { server_id }),
        tags::DELETE => Some(Change::Delete { server_id }),
        tags::SOFT_DELETE => Some(Change::SoftDelete { server_id }),
        _ => None,
    })
}

fn read_email<'a>(
    reader: &mut Reader<'a>,
    data: Element,
    item: &mut Email<'a>,
) -> Result<(), DecodeError> {
    while let Some(element) = reader.child(data)? {
        match element.tag {
            email::FROM => item.from = reader.text(element)?,
            email::TO => item.to = reader.text(element)?,
            email::SUBJECT => item.subject = reader.text(element)?,
            email::DATE_RECEIVED => item.date_received = reader.text(element)?,
            email::READ => item.read = reader.flag(element)?,
            air_sync_base::BODY => {
                while let Some(field) = reader.child(element)? {
                    if field.tag == air_sync_base::DATA {
                        item.body = reader.text(field)?;
                    } else {
                        reader.skip(field)?;
                    }
                }
            }
            _ => reader.skip(element)?,
        }
    }
    Ok(())
}
