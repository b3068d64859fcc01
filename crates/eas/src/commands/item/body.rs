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

/// Writes an element of the form that BodyPreference and BodyPartPreference share.
pub(in crate::commands) fn write_body_preference(
    writer: &mut Writer,
    tag: Tag,
    body: BodyPreference,
) {
    writer.start(tag);
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
            tags::TYPE => {
                let body_type = reader.optional(field, Reader::number)?;
                body.body_type = body_type.unwrap_or(PLAIN_TEXT);
            }
            tags::TRUNCATION_SIZE => {
                body.truncation_size = reader.optional(field, Reader::number)?
            }
            tags::ALL_OR_NONE => {
                let all_or_none = reader.optional(field, Reader::flag)?;
                body.all_or_none = all_or_none.unwrap_or_default();
            }
            tags::PREVIEW => body.preview = reader.optional(field, Reader::number)?,
            _ => reader.skip(field)?,
        }
    }
    Ok(body)
}

/// A body with all that is said of it (ASAIRS 2.2.2.9).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Body<'t> {
    /// The text, cut to the wanted size.
    pub text: Cow<'t, str>,
    /// Its form: 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// The text was cut.
    pub truncated: bool,
    /// The size of the whole in bytes; absent if it is that of `text`.
    pub estimated_size: Option<u32>,
    /// The start of the body in plain text, if the request asked for it; 14.0 and later.
    pub preview: Cow<'t, str>,
}

impl Default for Body<'_> {
    fn default() -> Self {
        Self::from("")
    }
}

/// A plain text, complete.
impl<'t> From<Cow<'t, str>> for Body<'t> {
    fn from(text: Cow<'t, str>) -> Self {
        Self {
            text,
            body_type: PLAIN_TEXT,
            truncated: false,
            estimated_size: None,
            preview: Cow::Borrowed(""),
        }
    }
}

impl<'t> From<&'t str> for Body<'t> {
    fn from(text: &'t str) -> Self {
        Self::from(Cow::Borrowed(text))
    }
}

impl From<String> for Body<'_> {
    fn from(text: String) -> Self {
        Self::from(Cow::Owned(text))
    }
}

impl<'t> Body<'t> {
    pub(super) fn size_text(&self) -> String {
        match self.estimated_size {
            Some(size) => size.to_string(),
            None => self.text.len().to_string(),
        }
    }

    /// Writes the element of 12.0 and later.
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer.start(tags::BODY);
        self.write_fields(writer, version);
        writer.end();
    }

    fn write_fields(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer
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
        if !self.preview.is_empty() && version >= ProtocolVersion::V14_0 {
            writer.element(tags::PREVIEW, &self.preview);
        }
    }

    /// Consumes the element of 12.0 and later.
    pub(super) fn read(reader: &mut Reader<'t>, parent: Element) -> Result<Self, DecodeError> {
        Ok(Self::read_with_status(reader, parent)?.0)
    }

    /// Consumes Body or BodyPart; only the latter has a Status.
    fn read_with_status(
        reader: &mut Reader<'t>,
        parent: Element,
    ) -> Result<(Self, Option<u8>), DecodeError> {
        let (mut body, mut status) = (Self::default(), None);
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                tags::STATUS => status = reader.optional(field, Reader::number)?,
                tags::TYPE => {
                    body.body_type = reader
                        .optional(field, Reader::number)?
                        .unwrap_or(PLAIN_TEXT);
                }
                tags::ESTIMATED_DATA_SIZE => {
                    body.estimated_size = reader.optional(field, Reader::number)?;
                }
                tags::TRUNCATED => {
                    body.truncated = reader.optional(field, Reader::flag)?.unwrap_or_default();
                }
                tags::DATA => body.text = reader.text(field)?,
                tags::PREVIEW => body.preview = reader.text(field)?,
                _ => reader.skip(field)?,
            }
        }
        body.estimated_size = body
            .estimated_size
            .filter(|size| usize::try_from(*size) != Ok(body.text.len()));
        Ok((body, status))
    }
}

/// The part of a message that no earlier message of its conversation holds; 14.1 and later
/// (ASAIRS 2.2.2.10).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BodyPart<'t> {
    /// 1 if it is there, 176 if it is too large (ASAIRS 2.2.2.37).
    pub status: u8,
    /// The part itself.
    pub body: Body<'t>,
}

impl<'t> BodyPart<'t> {
    /// The only form of a part, HTML (ASAIRS 2.2.2.41.3).
    pub const TYPE: u8 = 2;
    /// `status` of a part that is there.
    pub const SUCCESS: u8 = 1;

    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer
            .start(tags::BODY_PART)
            .number(tags::STATUS, self.status);
        self.body.write_fields(writer, version);
        writer.end();
    }

    pub(super) fn read(reader: &mut Reader<'t>, parent: Element) -> Result<Self, DecodeError> {
        let (body, status) = Body::read_with_status(reader, parent)?;
        let status = status.ok_or_else(|| reader.missing(tags::BODY_PART, tags::STATUS))?;
        Ok(Self { status, body })
    }
}

/// Writes the notes of an appointment, a contact, a task: elements of its class up to 2.5, the
/// common one from 12.0 on. No text leaves no trace.
pub(super) fn write_notes(
    writer: &mut Writer,
    (old, old_truncated): (Tag, Tag),
    body: &Body<'_>,
    version: ProtocolVersion,
) {
    if *body == Body::default() {
        return;
    }
    if version.has_air_sync_base() {
        body.write(writer, version);
        return;
    }
    writer.element(old, &body.text);
    if body.truncated {
        writer.flag(old_truncated, true);
    }
}
