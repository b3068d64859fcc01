use std::borrow::Cow;

use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, email};

/// The form in which message bodies are wanted (ASCMD 2.2.3.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyPreference {
    /// 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// At most so many bytes.
    pub truncation_size: Option<u32>,
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

pub(super) fn write_body_preference(writer: &mut Writer, body: BodyPreference) {
    writer.start(air_sync_base::BODY_PREFERENCE);
    writer.number(air_sync_base::TYPE, body.body_type);
    if let Some(size) = body.truncation_size {
        writer.number(air_sync_base::TRUNCATION_SIZE, size);
    }
    writer.end();
}

pub(super) fn read_body_preference(
    reader: &mut Reader<'_>,
    parent: Element,
) -> Result<BodyPreference, DecodeError> {
    let mut body = BodyPreference {
        body_type: 1,
        truncation_size: None,
    };
    while let Some(field) = reader.child(parent)? {
        match field.tag {
            air_sync_base::TYPE => body.body_type = reader.number(field)?,
            air_sync_base::TRUNCATION_SIZE => body.truncation_size = Some(reader.number(field)?),
            _ => reader.skip(field)?,
        }
    }
    Ok(body)
}

/// Writes a message into the open element: ApplicationData of Sync, Properties of ItemOperations.
pub(super) fn write_email(writer: &mut Writer, item: &Email<'_>, version: ProtocolVersion) {
    /// `Body/Type` 1 is plain text (ASAIRS 2.2.2.41).
    const PLAIN_TEXT: u8 = 1;
    writer.element(email::TO, &item.to);
    writer.element(email::FROM, &item.from);
    writer.element(email::SUBJECT, &item.subject);
    writer.element(email::DATE_RECEIVED, &item.date_received);
    writer.flag(email::READ, item.read);
    let size = item.body.len().to_string();
    if version.has_air_sync_base() {
        writer
            .start(air_sync_base::BODY)
            .number(air_sync_base::TYPE, PLAIN_TEXT)
            .element(air_sync_base::ESTIMATED_DATA_SIZE, &size)
            .element(air_sync_base::DATA, &item.body)
            .end();
    } else {
        writer
            .element(email::BODY, &item.body)
            .element(email::BODY_SIZE, &size)
            .flag(email::BODY_TRUNCATED, false);
    }
    writer.element(email::MESSAGE_CLASS, "IPM.Note");
}

pub(super) fn read_email<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
    item: &mut Email<'a>,
) -> Result<(), DecodeError> {
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            email::FROM => item.from = reader.text(element)?,
            email::TO => item.to = reader.text(element)?,
            email::SUBJECT => item.subject = reader.text(element)?,
            email::DATE_RECEIVED => item.date_received = reader.text(element)?,
            email::READ => item.read = reader.flag(element)?,
            // 2.5.
            email::BODY => item.body = reader.text(element)?,
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
