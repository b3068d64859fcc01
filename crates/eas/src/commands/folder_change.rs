use std::borrow::Cow;
use std::ops::RangeInclusive;

use super::FolderType;
use crate::status::FolderChangeStatus;
use crate::wbxml::{DecodeError, EncodeError, Reader, Tag, Writer, folder_hierarchy as tags};

/// Length of a folder's name in characters (ASCMD, DisplayName).
const NAME_LENGTHS: RangeInclusive<usize> = 1..=256;

/// A FolderCreate request (ASCMD 2.2.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderCreateRequest<'a> {
    /// The key of the last answer to a FolderSync or a change of folders.
    pub sync_key: Cow<'a, str>,
    /// The folder it is to be in, `0` for the top.
    pub parent_id: Cow<'a, str>,
    /// Its name for people.
    pub name: Cow<'a, str>,
    /// What it is for; one of the user's types.
    pub folder_type: FolderType,
}

impl<'a> FolderCreateRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FOLDER_CREATE)
            .element(tags::SYNC_KEY, &self.sync_key)
            .element(tags::PARENT_ID, &self.parent_id)
            .element(tags::DISPLAY_NAME, &self.name)
            .number(tags::TYPE, self.folder_type.0)
            .end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderCreate request, or lacks one of its elements.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        const ROOT: Tag = tags::FOLDER_CREATE;
        let (fields, reader) = Fields::read(body, ROOT)?;
        let (parent, name) = (fields.parent_id, fields.name);
        let missing = |tag| reader.missing(ROOT, tag);
        Ok(Self {
            sync_key: fields.sync_key.ok_or_else(|| missing(tags::SYNC_KEY))?,
            parent_id: parent.ok_or_else(|| missing(tags::PARENT_ID))?,
            name: name.ok_or_else(|| missing(tags::DISPLAY_NAME))?,
            folder_type: fields.folder_type.ok_or_else(|| missing(tags::TYPE))?,
        })
    }
}

/// A FolderUpdate request: another name, another place, or both (ASCMD 2.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderUpdateRequest<'a> {
    /// The key of the last answer to a FolderSync or a change of folders.
    pub sync_key: Cow<'a, str>,
    /// The folder's id.
    pub server_id: Cow<'a, str>,
    /// The folder it is to be in, `0` for the top.
    pub parent_id: Cow<'a, str>,
    /// Its name for people.
    pub name: Cow<'a, str>,
}

impl<'a> FolderUpdateRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FOLDER_UPDATE)
            .element(tags::SYNC_KEY, &self.sync_key)
            .element(tags::SERVER_ID, &self.server_id)
            .element(tags::PARENT_ID, &self.parent_id)
            .element(tags::DISPLAY_NAME, &self.name)
            .end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderUpdate request, or lacks one of its elements.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        const ROOT: Tag = tags::FOLDER_UPDATE;
        let (fields, reader) = Fields::read(body, ROOT)?;
        let (parent, name) = (fields.parent_id, fields.name);
        let missing = |tag| reader.missing(ROOT, tag);
        Ok(Self {
            sync_key: fields.sync_key.ok_or_else(|| missing(tags::SYNC_KEY))?,
            server_id: fields.server_id.ok_or_else(|| missing(tags::SERVER_ID))?,
            parent_id: parent.ok_or_else(|| missing(tags::PARENT_ID))?,
            name: name.ok_or_else(|| missing(tags::DISPLAY_NAME))?,
        })
    }
}

/// A FolderDelete request (ASCMD 2.2.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderDeleteRequest<'a> {
    /// The key of the last answer to a FolderSync or a change of folders.
    pub sync_key: Cow<'a, str>,
    /// The folder's id.
    pub server_id: Cow<'a, str>,
}

impl<'a> FolderDeleteRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::FOLDER_DELETE)
            .element(tags::SYNC_KEY, &self.sync_key)
            .element(tags::SERVER_ID, &self.server_id)
            .end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderDelete request, or lacks one of its elements.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        const ROOT: Tag = tags::FOLDER_DELETE;
        let (fields, reader) = Fields::read(body, ROOT)?;
        let missing = |tag| reader.missing(ROOT, tag);
        Ok(Self {
            sync_key: fields.sync_key.ok_or_else(|| missing(tags::SYNC_KEY))?,
            server_id: fields.server_id.ok_or_else(|| missing(tags::SERVER_ID))?,
        })
    }
}

/// The elements of all three requests and answers.
#[derive(Default)]
struct Fields<'a> {
    status: Option<u16>,
    sync_key: Option<Cow<'a, str>>,
    server_id: Option<Cow<'a, str>>,
    parent_id: Option<Cow<'a, str>>,
    name: Option<Cow<'a, str>>,
    folder_type: Option<FolderType>,
}

impl<'a> Fields<'a> {
    /// Reads a whole body; the reader then stands at its end, for errors about what is missing.
    fn read(body: &'a [u8], root: Tag) -> Result<(Self, Reader<'a>), DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(root)?;
        let mut fields = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => fields.status = reader.optional(element, Reader::number)?,
                tags::SYNC_KEY => fields.sync_key = Some(reader.text(element)?),
                tags::SERVER_ID => fields.server_id = Some(reader.text(element)?),
                tags::PARENT_ID => fields.parent_id = Some(reader.text(element)?),
                tags::DISPLAY_NAME => {
                    let name = reader.text_within(element, &NAME_LENGTHS, "1 to 256 characters")?;
                    fields.name = Some(name);
                }
                tags::TYPE => {
                    let number = reader.optional(element, Reader::number)?;
                    fields.folder_type = number.map(FolderType);
                }
                _ => reader.skip(element)?,
            }
        }
        reader.clone().finish()?;
        Ok((fields, reader))
    }
}

/// A FolderCreate answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderCreateAnswer<'a> {
    /// The command's status.
    pub status: FolderChangeStatus,
    /// The next request's key, if it went well.
    pub sync_key: Option<Cow<'a, str>>,
    /// The new folder's id, if it went well.
    pub server_id: Option<Cow<'a, str>>,
}

impl<'a> FolderCreateAnswer<'a> {
    /// An answer that holds only a status.
    #[must_use]
    pub fn failed(status: FolderChangeStatus) -> Self {
        Self {
            status,
            sync_key: None,
            server_id: None,
        }
    }

    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_answer(
            tags::FOLDER_CREATE,
            self.status,
            self.sync_key.as_deref(),
            self.server_id.as_deref(),
        )
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no FolderCreate answer.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (status, fields) = decode_answer(body, tags::FOLDER_CREATE)?;
        Ok(Self {
            status,
            sync_key: fields.sync_key,
            server_id: fields.server_id,
        })
    }
}

/// A FolderUpdate answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderUpdateAnswer<'a> {
    /// The command's status.
    pub status: FolderChangeStatus,
    /// The next request's key, if it went well.
    pub sync_key: Option<Cow<'a, str>>,
}

/// A FolderDelete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderDeleteAnswer<'a> {
    /// The command's status.
    pub status: FolderChangeStatus,
    /// The next request's key, if it went well.
    pub sync_key: Option<Cow<'a, str>>,
}

macro_rules! answer_with_a_key {
    ($answer:ident, $root:expr) => {
        impl<'a> $answer<'a> {
            /// An answer that holds only a status.
            #[must_use]
            pub fn failed(status: FolderChangeStatus) -> Self {
                Self {
                    status,
                    sync_key: None,
                }
            }

            /// As a body.
            ///
            /// # Errors
            /// When the key cannot be a WBXML string.
            pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
                encode_answer($root, self.status, self.sync_key.as_deref(), None)
            }

            /// From a body.
            ///
            /// # Errors
            /// When it is no such answer.
            pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
                let (status, fields) = decode_answer(body, $root)?;
                Ok(Self {
                    status,
                    sync_key: fields.sync_key,
                })
            }
        }
    };
}

answer_with_a_key!(FolderUpdateAnswer, tags::FOLDER_UPDATE);
answer_with_a_key!(FolderDeleteAnswer, tags::FOLDER_DELETE);

fn encode_answer(
    root: Tag,
    status: FolderChangeStatus,
    sync_key: Option<&str>,
    server_id: Option<&str>,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.start(root).number(tags::STATUS, status.code());
    for (tag, text) in [(tags::SYNC_KEY, sync_key), (tags::SERVER_ID, server_id)] {
        if let Some(text) = text {
            writer.element(tag, text);
        }
    }
    writer.end();
    writer.finish()
}

fn decode_answer(body: &[u8], root: Tag) -> Result<(FolderChangeStatus, Fields<'_>), DecodeError> {
    let (mut fields, reader) = Fields::read(body, root)?;
    // A request needs them, so they count there even if they are empty.
    for optional in [&mut fields.sync_key, &mut fields.server_id] {
        *optional = optional.take().filter(|text| !text.trim().is_empty());
    }
    let status = fields
        .status
        .ok_or_else(|| reader.missing(root, tags::STATUS))?;
    Ok((FolderChangeStatus::from_code(status), fields))
}
