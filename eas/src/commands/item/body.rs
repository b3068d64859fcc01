use std::borrow::Cow;

use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, air_sync_base as tags};

/// `Body/Type` 1 is plain text (ASAIRS 2.2.2.41).
pub(super) const PLAIN_TEXT: u8 = 1;

/// The form in which message bodies are wanted (ASCMD 2.2.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPreference {
    /// 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// At most so many bytes.
    pub truncation_size: Option<u32>,
}

pub(in crate::commands) fn write_body_preference(writer: &mut Writer, body: BodyPreference) {
    writer.start(tags::BODY_PREFERENCE);
    writer.number(tags::TYPE, body.body_type);
    if let Some(size) = body.truncation_size {
        writer.number(tags::TRUNCATION_SIZE, size);
    }
    writer.end();
}

pub(in crate::commands) fn read_body_preference(
    reader: &mut Reader<'_>,
    parent: Element,
) -> Result<BodyPreference, DecodeError> {
    let mut body = BodyPreference {
        body_type: PLAIN_TEXT,
        truncation_size: None,
    };
    while let Some(field) = reader.child(parent)? {
        match field.tag {
            tags::TYPE => body.body_type = reader.number(field)?,
            tags::TRUNCATION_SIZE => body.truncation_size = Some(reader.number(field)?),
            _ => reader.skip(field)?,
        }
    }
    Ok(body)
}

/// A body with all that is said of it (ASAIRS, Body).
pub(super) struct Body<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) body_type: u8,
    pub(super) truncated: bool,
    /// The size of the whole where it is another one than the text's.
    pub(super) size: Option<u32>,
}

impl<'t> Body<'t> {
    /// A plain text, complete.
    fn plain(text: &'t str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            body_type: PLAIN_TEXT,
            truncated: false,
            size: None,
        }
    }

    pub(super) fn size_text(&self) -> String {
        match self.size {
            Some(size) => size.to_string(),
            None => self.text.len().to_string(),
        }
    }

    /// Writes the element of 12.0 and later.
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .start(tags::BODY)
            .number(tags::TYPE, self.body_type)
            .element(tags::ESTIMATED_DATA_SIZE, &self.size_text());
        if self.truncated {
            writer.flag(tags::TRUNCATED, true);
        }
        writer.element(tags::DATA, &self.text).end();
    }

    /// Consumes the element of 12.0 and later.
    pub(super) fn read(reader: &mut Reader<'t>, parent: Element) -> Result<Self, DecodeError> {
        let mut body = Self::plain("");
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                tags::TYPE => {
                    body.body_type = reader
                        .optional(field, Reader::number)?
                        .unwrap_or(PLAIN_TEXT);
                }
                tags::ESTIMATED_DATA_SIZE => body.size = reader.optional(field, Reader::number)?,
                tags::TRUNCATED => {
                    body.truncated = reader.optional(field, Reader::flag)?.unwrap_or_default();
                }
                tags::DATA => body.text = reader.text(field)?,
                _ => reader.skip(field)?,
            }
        }
        body.size = body
            .size
            .filter(|size| usize::try_from(*size) != Ok(body.text.len()));
        Ok(body)
    }
}

/// Writes the notes of an appointment, a contact, a task: an element of its class up to 2.5, the
/// common one from 12.0 on. No text leaves no trace.
pub(super) fn write_notes(writer: &mut Writer, old: Tag, text: &str, version: ProtocolVersion) {
    if text.is_empty() {
        return;
    }
    if version.has_air_sync_base() {
        Body::plain(text).write(writer);
    } else {
        writer.element(old, text);
    }
}
