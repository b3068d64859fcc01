use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync, air_sync_base, email as tags};

/// What a message says of an attachment (ASAIRS, Attachment).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attachment<'a> {
    /// Its name for people.
    pub display_name: Cow<'a, str>,
    /// What to fetch it with: ItemOperations from 12.0 on, GetAttachment up to 12.1.
    pub file_reference: Cow<'a, str>,
    /// About so many bytes.
    pub size: u32,
}

/// `Method` 1 is a file, as opposed to a message or an object (ASAIRS, Method).
const METHOD_FILE: u8 = 1;

impl<'a> Attachment<'a> {
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        let size = self.size.to_string();
        if version.has_air_sync_base() {
            writer
                .start(air_sync_base::ATTACHMENT)
                .element(air_sync_base::DISPLAY_NAME, &self.display_name)
                .element(air_sync_base::FILE_REFERENCE, &self.file_reference)
                .number(air_sync_base::METHOD, METHOD_FILE)
                .element(air_sync_base::ESTIMATED_DATA_SIZE, &size)
                .end();
        } else {
            writer
                .start(tags::ATTACHMENT)
                .number(tags::ATT_METHOD, METHOD_FILE)
                .element(tags::ATT_SIZE, &size)
                .element(tags::DISPLAY_NAME, &self.display_name)
                .element(tags::ATT_NAME, &self.file_reference)
                .end();
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut attachment = Self::default();
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                air_sync_base::DISPLAY_NAME | tags::DISPLAY_NAME => {
                    attachment.display_name = reader.text(field)?;
                }
                air_sync_base::FILE_REFERENCE | tags::ATT_NAME => {
                    attachment.file_reference = reader.text(field)?;
                }
                air_sync_base::ESTIMATED_DATA_SIZE | tags::ATT_SIZE => {
                    attachment.size = reader.optional(field, Reader::number)?.unwrap_or_default();
                }
                _ => reader.skip(field)?,
            }
        }
        Ok(attachment)
    }
}

/// What a client does to the attachments of a draft; 16.0 and later.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AttachmentChange<'a> {
    /// A new one (ASAIRS 2.2.2.2).
    Add {
        /// The client's name for it until the answer gives it a reference.
        client_id: Cow<'a, str>,
        /// Its name for people.
        display_name: Cow<'a, str>,
        /// Its media type; empty if the client does not say.
        content_type: Cow<'a, str>,
        /// Its bytes; base64 on the wire unless they are opaque.
        content: Cow<'a, [u8]>,
    },
    /// One that is to go (ASAIRS 2.2.2.21.1).
    Delete {
        /// What it is fetched with.
        file_reference: Cow<'a, str>,
    },
}

impl<'a> AttachmentChange<'a> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Add {
                client_id,
                display_name,
                content_type,
                content,
            } => {
                writer
                    .start(air_sync_base::ADD)
                    .element(air_sync_base::CLIENT_ID, client_id)
                    .element(air_sync_base::CONTENT, &BASE64.encode(content));
                if !content_type.is_empty() {
                    writer.element(air_sync_base::CONTENT_TYPE, content_type);
                }
                writer
                    .element(air_sync_base::DISPLAY_NAME, display_name)
                    .number(air_sync_base::METHOD, METHOD_FILE);
            }
            Self::Delete { file_reference } => {
                writer
                    .start(air_sync_base::DELETE)
                    .element(air_sync_base::FILE_REFERENCE, file_reference);
            }
        }
        writer.end();
    }

    /// Consumes an element of Attachments if it is Add or Delete.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        parent: Element,
    ) -> Result<Option<Self>, DecodeError> {
        if ![air_sync_base::ADD, air_sync_base::DELETE].contains(&parent.tag) {
            return Ok(None);
        }
        let (mut client_id, mut display_name, mut content_type) = (None, None, Cow::Borrowed(""));
        let (mut content, mut file_reference) = (None, None);
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                air_sync_base::CLIENT_ID => client_id = Some(reader.text(field)?),
                air_sync_base::DISPLAY_NAME => display_name = Some(reader.text(field)?),
                air_sync_base::CONTENT_TYPE => content_type = reader.text(field)?,
                air_sync_base::CONTENT => content = Some(reader.base64(field)?),
                air_sync_base::FILE_REFERENCE => file_reference = Some(reader.text(field)?),
                _ => reader.skip(field)?,
            }
        }
        let missing = |tag| reader.missing(parent.tag, tag);
        Ok(Some(if parent.tag == air_sync_base::ADD {
            Self::Add {
                client_id: client_id.ok_or_else(|| missing(air_sync_base::CLIENT_ID))?,
                display_name: display_name.ok_or_else(|| missing(air_sync_base::DISPLAY_NAME))?,
                content_type,
                content: content.ok_or_else(|| missing(air_sync_base::CONTENT))?,
            }
        } else {
            let file_reference =
                file_reference.ok_or_else(|| missing(air_sync_base::FILE_REFERENCE))?;
            Self::Delete { file_reference }
        }))
    }
}

/// Writes the attachments of a message, and what a client does to them, unless there are none.
pub(super) fn write_attachments(
    writer: &mut Writer,
    attachments: &[Attachment<'_>],
    changes: &[AttachmentChange<'_>],
    version: ProtocolVersion,
) {
    let changes = match version >= ProtocolVersion::V16_0 {
        true => changes,
        false => &[],
    };
    if attachments.is_empty() && changes.is_empty() {
        return;
    }
    writer.start(if version.has_air_sync_base() {
        air_sync_base::ATTACHMENTS
    } else {
        tags::ATTACHMENTS
    });
    for attachment in attachments {
        attachment.write(writer, version);
    }
    for change in changes {
        change.write(writer);
    }
    writer.end();
}

/// What a server says of an attachment that a client has added (ASAIRS 2.2.2.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddedAttachment<'a> {
    /// The client's name for it.
    pub client_id: Cow<'a, str>,
    /// What it is fetched with from now on.
    pub file_reference: Cow<'a, str>,
}

impl<'a> AddedAttachment<'a> {
    /// Writes ApplicationData with these attachments, unless there are none.
    pub(in crate::commands) fn write_all(all: &[Self], writer: &mut Writer) {
        if all.is_empty() {
            return;
        }
        writer
            .start(air_sync::APPLICATION_DATA)
            .start(air_sync_base::ATTACHMENTS);
        for one in all {
            writer
                .start(air_sync_base::ATTACHMENT)
                .element(air_sync_base::CLIENT_ID, &one.client_id)
                .element(air_sync_base::FILE_REFERENCE, &one.file_reference)
                .end();
        }
        writer.end().end();
    }

    /// Consumes ApplicationData of an answer to an Add or a Change.
    pub(in crate::commands) fn read_all(
        reader: &mut Reader<'a>,
        parent: Element,
    ) -> Result<Vec<Self>, DecodeError> {
        let mut all = Vec::new();
        while let Some(element) = reader.child(parent)? {
            if element.tag != air_sync_base::ATTACHMENTS {
                reader.skip(element)?;
                continue;
            }
            while let Some(attachment) = reader.child(element)? {
                all.extend(reader.optional(attachment, Self::read)?);
            }
        }
        Ok(all)
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut one = Self::default();
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                air_sync_base::CLIENT_ID => one.client_id = reader.text(field)?,
                air_sync_base::FILE_REFERENCE => one.file_reference = reader.text(field)?,
                _ => reader.skip(field)?,
            }
        }
        Ok(one)
    }
}
