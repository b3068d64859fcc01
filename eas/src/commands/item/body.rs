use std::borrow::Cow;

use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, air_sync_base as tags};

/// `Body/Type` 1 is plain text (ASAIRS 2.2.2.41).
pub(super) const PLAIN_TEXT: u8 = 1;

/// A form in which bodies are wanted (ASAIRS 2.2.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BodyPreference {
    /// 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// Bytes of the body that the answer holds at most.
    pub truncation_size: Option<u32>,
    /// A body that exceeds `truncation_size` is left out instead of cut.
    pub all_or_none: bool,
    /// Characters of the plain text that are wanted as a preview; 14.0 and later.
    pub preview: Option<u8>,
}

impl Default for BodyPreference {
    /// The whole body in plain text.
    fn default() -> Self {
        Self {
            body_type: PLAIN_TEXT,
            truncation_size: None,
            all_or_none: false,
            preview: None,
        }
    }
}

pub(in crate::commands) fn write_body_preference(writer: &mut Writer, body: BodyPreference) {
    writer.start(tags::BODY_PREFERENCE);
    writer.number(tags::TYPE, body.body_type);
    if let Some(size) = body.truncation_size {
        writer.number(tags::TRUNCATION_SIZE, size);
    }
    if body.all_or_none {
        writer.flag(tags::ALL_OR_NONE, true);
    }
    if let Some(preview) = body.preview {
        writer.number(tags::PREVIEW, preview);
    }
    writer.end();
}

pub(in crate::commands) fn read_body_preference(
    reader: &mut Reader<'_>,
    parent: Element,
) -> Result<BodyPreference, DecodeError> {
    let mut body = BodyPreference::default();
    while let Some(field) = reader.child(parent)? {
        match field.tag {
            tags::TYPE => body.body_type = reader.number(field)?,
            tags::TRUNCATION_SIZE => body.truncation_size = Some(reader.number(field)?),
            tags::ALL_OR_NONE => body.all_or_none = reader.flag(field)?,
            tags::PREVIEW => body.preview = Some(reader.number(field)?),
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
    pub(super) preview: Cow<'t, str>,
}

impl<'t> Body<'t> {
    /// A plain text, complete.
    fn plain(text: &'t str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            body_type: PLAIN_TEXT,
            truncated: false,
            size: None,
            preview: Cow::Borrowed(""),
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
        // Nothing of the body is left: the element is absent (ASAIRS 2.2.2.9).
        if !(self.truncated && self.text.is_empty()) {
            writer.detachable(tags::DATA, self.text.as_bytes(), || {
                Cow::Borrowed(&*self.text)
            });
        }
        if !self.preview.is_empty() {
            writer.element(tags::PREVIEW, &self.preview);
        }
        writer.end();
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
                tags::PREVIEW => body.preview = reader.text(field)?,
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
