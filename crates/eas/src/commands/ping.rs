use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::Class;
use crate::status::PingStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, ping as tags};

/// Length of a folder's id in characters (ASCMD, Id).
const ID_LENGTHS: RangeInclusive<usize> = 1..=64;

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
    /// When it is no Ping request, or a folder lacks its id or its class.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut request = Self::default();
        if body.is_empty() {
            return Ok(request);
        }
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::PING)?;
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::HEARTBEAT_INTERVAL => {
                    request.heartbeat = Some(heartbeat(&mut reader, element)?);
                }
                tags::FOLDERS => request.folders = Some(folders(&mut reader, element)?),
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

/// An interval beyond 32 bits is as far out of range as the largest number of 32 bits: a server must
/// answer it with Status 5 (ASCMD, HeartbeatInterval), so it is no error here.
fn heartbeat(reader: &mut Reader<'_>, element: Element) -> Result<i32, DecodeError> {
    reader.parse(element, "a number of seconds", |text| {
        let seconds: i64 = text.parse().ok()?;
        let bounds = (i32::MIN.into(), i32::MAX.into());
        i32::try_from(seconds.clamp(bounds.0, bounds.1)).ok()
    })
}

/// The folders to watch, of which there is at least one.
fn folders<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Vec<PingFolder<'a>>, DecodeError> {
    let mut folders = Vec::new();
    while let Some(element) = reader.child(parent)? {
        if element.tag == tags::FOLDER {
            folders.push(ping_folder(reader, element)?);
        } else {
            reader.skip(element)?;
        }
    }
    if folders.is_empty() {
        return Err(reader.missing(tags::FOLDERS, tags::FOLDER));
    }
    Ok(folders)
}

fn ping_folder<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<PingFolder<'a>, DecodeError> {
    let (mut id, mut class) = (None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::ID => {
                id = Some(reader.text_within(element, &ID_LENGTHS, "1 to 64 characters")?);
            }
            tags::CLASS => class = Some(reader.parse(element, "a class", Class::parse)?),
            _ => reader.skip(element)?,
        }
    }
    Ok(PingFolder {
        id: id.ok_or_else(|| reader.missing(tags::FOLDER, tags::ID))?,
        class: class.ok_or_else(|| reader.missing(tags::FOLDER, tags::CLASS))?,
    })
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
                        answer
                            .folders
                            .extend(reader.optional(folder, Reader::text)?);
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
