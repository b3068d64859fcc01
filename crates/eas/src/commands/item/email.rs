use std::borrow::Cow;

use super::attachment::{Attachment, AttachmentChange, write_attachments};
use super::body::{Body, BodyPart, PLAIN_TEXT};
use super::meeting_request::MeetingRequest;
use super::write_texts;
use crate::ProtocolVersion;
use crate::wbxml::{
    DecodeError, Element, Reader, Writer, air_sync_base, email as tags, email2, tasks,
};

/// The parts of a message that a device keeps (MS-ASEMAIL 2.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Email<'a> {
    /// Sender.
    pub from: Cow<'a, str>,
    /// Recipients.
    pub to: Cow<'a, str>,
    /// Recipients of a copy.
    pub cc: Cow<'a, str>,
    /// Subject.
    pub subject: Cow<'a, str>,
    /// When the server received it, `2026-03-14T03:00:00.000Z`.
    pub date_received: Cow<'a, str>,
    /// Read by the user.
    pub read: bool,
    /// 0 low, 1 normal, 2 high.
    pub importance: Option<u8>,
    /// What kind of message it is; empty for `IPM.Note`, the usual one.
    pub message_class: Cow<'a, str>,
    /// Flagged by the user.
    pub flag: Option<Flag<'a>>,
    /// Its attachments.
    pub attachments: Vec<Attachment<'a>>,
    /// The meeting it asks for (or answers, or cancels: the message class tells).
    pub meeting: Option<Box<MeetingRequest<'a>>>,
    /// The body's text, cut to the wanted size.
    pub body: Cow<'a, str>,
    /// The form of the body: 1 plain text, 2 HTML, 3 RTF, 4 MIME.
    pub body_type: u8,
    /// The body was cut.
    pub truncated: bool,
    /// The size of the whole body in bytes; absent if it is that of `body`.
    pub estimated_size: Option<u32>,
    /// The start of the body in plain text, if the request asked for it; 14.0 and later.
    pub preview: Cow<'a, str>,
    /// The form in which the server keeps the body, as in `body_type`; 12.0 and later.
    pub native_body_type: Option<u8>,
    /// Recipients of a hidden copy; 16.0 and later.
    pub bcc: Cow<'a, str>,
    /// Not sent yet; 16.0 and later.
    pub is_draft: bool,
    /// What a client does to the attachments of a draft; 16.0 and later.
    pub attachment_changes: Vec<AttachmentChange<'a>>,
    /// The part that no earlier message of the conversation holds, if the request asked for it;
    /// 14.1 and later.
    pub part: Option<Box<BodyPart<'a>>>,
}

impl Default for Email<'_> {
    fn default() -> Self {
        Self {
            from: Cow::Borrowed(""),
            to: Cow::Borrowed(""),
            cc: Cow::Borrowed(""),
            subject: Cow::Borrowed(""),
            date_received: Cow::Borrowed(""),
            read: false,
            importance: None,
            message_class: Cow::Borrowed(""),
            flag: None,
            attachments: Vec::new(),
            meeting: None,
            body: Cow::Borrowed(""),
            body_type: PLAIN_TEXT,
            truncated: false,
            estimated_size: None,
            preview: Cow::Borrowed(""),
            native_body_type: None,
            bcc: Cow::Borrowed(""),
            is_draft: false,
            attachment_changes: Vec::new(),
            part: None,
        }
    }
}

/// Whether and how a message is flagged (MS-ASEMAIL, Status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FlagStatus {
    /// Not, or not any more.
    #[default]
    None,
    /// Was, and is done.
    Complete,
    /// Is.
    Active,
}

impl FlagStatus {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Complete => 1,
            Self::Active => 2,
        }
    }

    /// The status of a number on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::None,
            1 => Self::Complete,
            2 => Self::Active,
            _ => return None,
        })
    }
}

/// A flag (MS-ASEMAIL, Flag). The default one, an empty element on the wire, clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Flag<'a> {
    /// Whether it is set.
    pub status: FlagStatus,
    /// What to do, in words: `Follow up`.
    pub flag_type: Cow<'a, str>,
    /// When it was done, `2026-03-14T03:00:00.000Z`; required with
    /// [`FlagStatus::Complete`] (MS-ASEMAIL, CompleteTime).
    pub completed: Cow<'a, str>,
}

impl<'a> Flag<'a> {
    pub(super) fn write(&self, writer: &mut Writer) {
        if *self == Self::default() {
            writer.empty(tags::FLAG);
            return;
        }
        writer
            .start(tags::FLAG)
            .number(tags::STATUS, self.status.code());
        write_texts(
            writer,
            [
                (tags::FLAG_TYPE, &self.flag_type),
                (tags::COMPLETE_TIME, &self.completed),
                // Both must be there, and say the same (MS-ASEMAIL, DateCompleted).
                (tasks::DATE_COMPLETED, &self.completed),
            ],
        );
        writer.end();
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut flag = Self::default();
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                tags::STATUS => {
                    flag.status = reader
                        .optional(field, |reader, field| {
                            reader.choice(field, "0, 1 or 2", FlagStatus::from_code)
                        })?
                        .unwrap_or_default();
                }
                tags::FLAG_TYPE => flag.flag_type = reader.text(field)?,
                tags::COMPLETE_TIME | tasks::DATE_COMPLETED => {
                    let completed = reader.text(field)?;
                    if !completed.is_empty() {
                        flag.completed = completed;
                    }
                }
                _ => reader.skip(field)?,
            }
        }
        Ok(flag)
    }
}

/// The usual class of a message.
const IPM_NOTE: &str = "IPM.Note";
/// `Body/Type` 4 is MIME, which 2.5 keeps in elements of its own.
const MIME: u8 = 4;

/// What an element that holds parts of a message held.
#[derive(Default)]
pub(super) struct Seen {
    /// The read mark.
    pub(super) read: bool,
    /// A part of the message itself.
    pub(super) message: bool,
}

impl<'a> Email<'a> {
    /// Writes the message into the open element.
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer.element(tags::TO, &self.to);
        write_texts(writer, [(tags::CC, &self.cc)]);
        writer
            .element(tags::FROM, &self.from)
            .element(tags::SUBJECT, &self.subject)
            .element(tags::DATE_RECEIVED, &self.date_received);
        if let Some(importance) = self.importance {
            writer.number(tags::IMPORTANCE, importance);
        }
        writer.flag(tags::READ, self.read);
        write_attachments(writer, &self.attachments, &self.attachment_changes, version);
        self.write_body(writer, version);
        if let Some(part) = &self.part
            && version >= ProtocolVersion::V14_1
        {
            part.write(writer, version);
        }
        writer.element(
            tags::MESSAGE_CLASS,
            match &*self.message_class {
                "" => IPM_NOTE,
                class => class,
            },
        );
        if let Some(meeting) = &self.meeting {
            meeting.write(writer, version);
        }
        // A flag is an element of 12.0 and later.
        if let Some(flag) = self.flag.as_ref().filter(|_| version.has_air_sync_base()) {
            flag.write(writer);
        }
        if let Some(native) = self.native_body_type
            && version.has_air_sync_base()
        {
            writer.number(air_sync_base::NATIVE_BODY_TYPE, native);
        }
        if version >= ProtocolVersion::V16_0 {
            if self.is_draft {
                writer.flag(email2::IS_DRAFT, true);
            }
            write_texts(writer, [(email2::BCC, &self.bcc)]);
        }
    }

    fn write_body(&self, writer: &mut Writer, version: ProtocolVersion) {
        let body = Body {
            text: Cow::Borrowed(&self.body),
            body_type: self.body_type,
            truncated: self.truncated,
            estimated_size: self.estimated_size,
            preview: Cow::Borrowed(&*self.preview),
        };
        if version.has_air_sync_base() {
            body.write(writer, version);
            return;
        }
        let (text, size, truncated) = if self.body_type == MIME {
            (tags::MIME_DATA, tags::MIME_SIZE, tags::MIME_TRUNCATED)
        } else {
            (tags::BODY, tags::BODY_SIZE, tags::BODY_TRUNCATED)
        };
        writer
            .element(text, &body.text)
            .element(size, &body.size_text())
            .flag(truncated, body.truncated);
    }

    /// Consumes an element that holds a message or parts of one.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        parent: Element,
    ) -> Result<(Box<Self>, Seen), DecodeError> {
        let mut email = Box::<Self>::default();
        let mut seen = Seen::default();
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::READ => {
                    if let Some(read) = reader.optional(element, Reader::flag)? {
                        seen.read = true;
                        email.read = read;
                    }
                    continue;
                }
                tags::FLAG => {
                    email.flag = Some(Flag::read(reader, element)?);
                    continue;
                }
                tags::FROM => email.from = reader.text(element)?,
                tags::TO => email.to = reader.text(element)?,
                tags::CC => email.cc = reader.text(element)?,
                tags::SUBJECT => email.subject = reader.text(element)?,
                tags::DATE_RECEIVED => email.date_received = reader.text(element)?,
                tags::IMPORTANCE => email.importance = reader.optional(element, Reader::number)?,
                tags::MESSAGE_CLASS => {
                    let class = reader.text(element)?;
                    email.message_class = if class == IPM_NOTE {
                        Cow::Borrowed("")
                    } else {
                        class
                    };
                }
                tags::MEETING_REQUEST => {
                    email.meeting = reader
                        .optional(element, MeetingRequest::read)?
                        .map(Box::new);
                }
                air_sync_base::ATTACHMENTS | tags::ATTACHMENTS => {
                    while let Some(attachment) = reader.child(element)? {
                        if let Some(change) = AttachmentChange::read(reader, attachment)? {
                            email.attachment_changes.push(change);
                            continue;
                        }
                        let attachment = reader.optional(attachment, Attachment::read)?;
                        email.attachments.extend(attachment);
                    }
                }
                air_sync_base::NATIVE_BODY_TYPE => {
                    email.native_body_type = reader.optional(element, Reader::number)?;
                }
                email2::BCC => email.bcc = reader.text(element)?,
                email2::IS_DRAFT => {
                    email.is_draft = reader.optional(element, Reader::flag)?.unwrap_or_default();
                }
                air_sync_base::BODY => {
                    let body = Body::read(reader, element)?;
                    email.body = body.text;
                    email.body_type = body.body_type;
                    email.truncated = body.truncated;
                    email.estimated_size = body.estimated_size;
                    email.preview = body.preview;
                }
                air_sync_base::BODY_PART => {
                    email.part = reader.optional(element, BodyPart::read)?.map(Box::new);
                }
                _ if email.read_old_body(reader, element)? => {}
                // Marks that are not kept: categories, the last verb.
                _ => {
                    reader.skip(element)?;
                    continue;
                }
            }
            seen.message = true;
        }
        let length = email.body.len();
        email.estimated_size = email
            .estimated_size
            .filter(|size| usize::try_from(*size) != Ok(length));
        Ok((email, seen))
    }

    /// Consumes an element of a body of 2.5, if it is one.
    fn read_old_body(
        &mut self,
        reader: &mut Reader<'a>,
        element: Element,
    ) -> Result<bool, DecodeError> {
        match element.tag {
            tags::BODY => self.body = reader.text(element)?,
            tags::MIME_DATA => {
                if let Some(body) = reader.optional(element, Reader::text)? {
                    self.body = body;
                    self.body_type = MIME;
                }
            }
            tags::BODY_SIZE | tags::MIME_SIZE => {
                self.estimated_size = reader.optional(element, Reader::number)?;
            }
            tags::BODY_TRUNCATED | tags::MIME_TRUNCATED => {
                self.truncated = reader.optional(element, Reader::flag)?.unwrap_or_default();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
