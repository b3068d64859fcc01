use std::borrow::Cow;

use super::Class;
use crate::status::PingStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, ping as tags};

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingFolder<'a> {
    /// Its id, as FolderSync gave it.
    pub id: Cow<'a, str>,
    /// Its class.
    pub class: Class,
}

/// A Ping request (ASCMD 2.2.1.13). The first of a device needs both parts; later ones may omit
/// either, and with both absent the body is empty and not sent at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PingRequest<'a> {
    /// The heartbeat in seconds. Signed, because a server must answer a negative one with
    /// Status 5.
    pub heartbeat: Option<i32>,
    /// The folders to watch.
    pub folders: Option<Vec<PingFolder<'a>>>,
}

impl<'a> PingRequest<'a> {
    /// As a body; empty when there is nothing to say.
    ///
    /// # Errors
    /// When an id cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        if self.heartbeat.is_none() && self.folders.is_none() {
            return Ok(Vec::new());
        }
        let mut writer = Writer::new();
        writer.start(tags::PING);
        if let Some(heartbeat) = self.heartbeat {
            writer.number(tags::HEARTBEAT_INTERVAL, heartbeat);
        }
        if let Some(folders) = &self.folders {
            writer.start(tags::FOLDERS);
            for folder in folders {
                writer.start(tags::FOLDER);
                writer.element(tags::ID, &folder.id);
                writer.element(tags::CLASS, folder.class.as_str()).end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body; `None` in both parts from an empty one. An empty `<Ping/>` element is told
    /// apart by [`is_empty_element`](Self::is_empty_element).
    ///
    /// # Errors
    /// When it is no Ping request.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        if body.is_empty() {
            return Ok(request);
        }
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::PING)?;
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::HEARTBEAT_INTERVAL => request.heartbeat = Some(reader.number(element)?),
                tags::FOLDERS => {
                    let folders = request.folders.get_or_insert_default();
                    while let Some(folder) = reader.child(element)? {
                        folders.push(ping_folder(&mut reader, folder)?);
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(request)
    }

    /// Whether a body is a bare `<Ping/>`, which Exchange answers with Status 4 where an empty
    /// body gets Status 3.
    #[must_use]
    pub fn is_empty_element(&self, body: &[u8]) -> bool {
        !body.is_empty() && self.heartbeat.is_none() && self.folders.is_none()
    }
}

fn ping_folder<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<PingFolder<'a>, DecodeError> {
    let (mut id, mut class) = (None, Class::Email);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::ID => id = Some(reader.text(element)?),
            tags::CLASS => class = Class::parse(&reader.text(element)?).unwrap_or(Class::Email),
            _ => reader.skip(element)?,
        }
    }
    let id = id.ok_or_else(|| reader.missing(tags::FOLDER, tags::ID))?;
    Ok(PingFolder { id, class })
}

/// A Ping answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingAnswer<'a> {
    /// Why it ended.
    pub status: PingStatus,
    /// Status 2: the folders with changes.
    pub folders: Vec<Cow<'a, str>>,
    /// Status 6: how many folders may be watched.
    pub max_folders: Option<u32>,
    /// Status 5: the nearest heartbeat the server accepts, in seconds.
    pub heartbeat: Option<u32>,
}

impl<'a> PingAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn new(status: PingStatus) -> Self {
        Self {
            status,
            folders: Vec::new(),
            max_folders: None,
            heartbeat: None,
        }
    }

    /// As a body, its elements in the order of the schema.
    ///
    /// # Errors
    /// When an id cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::PING)
            .number(tags::STATUS, self.status.code());
        if !self.folders.is_empty() {
            writer.start(tags::FOLDERS);
            for folder in &self.folders {
                writer.element(tags::FOLDER, folder);
            }
            writer.end();
        }
        if let Some(limit) = self.max_folders {
            writer.number(tags::MAX_FOLDERS, limit);
        }
        if let Some(heartbeat) = self.heartbeat {
            writer.number(tags::HEARTBEAT_INTERVAL, heartbeat);
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no Ping answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::PING)?;
        let mut status = None;
        let mut answer = Self::new(PingStatus::Expired);
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::FOLDERS => {
                    while let Some(folder) = reader.child(element)? {
                        answer.folders.push(reader.text(folder)?);
                    }
                }
                tags::MAX_FOLDERS => {
                    answer.max_folders = reader.optional(element, Reader::number)?
                }
                tags::HEARTBEAT_INTERVAL => {
                    answer.heartbeat = reader.optional(element, Reader::number)?
                }
                _ => reader.skip(element)?,
            }
        }
        let status = status.ok_or_else(|| reader.missing(tags::PING, tags::STATUS))?;
        answer.status = PingStatus::from_code(status);
        reader.finish()?;
        Ok(answer)
    }
}
