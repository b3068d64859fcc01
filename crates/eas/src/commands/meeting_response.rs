use std::borrow::Cow;

use super::Skipped;
use crate::status::MeetingResponseStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, meeting_response as tags};

/// What the user answers to a meeting request (ASCMD, UserResponse).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserResponse {
    /// Comes.
    Accept,
    /// May come.
    Tentative,
    /// Does not come.
    Decline,
}

impl UserResponse {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Accept => 1,
            Self::Tentative => 2,
            Self::Decline => 3,
        }
    }

    /// The answer of a number on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Accept,
            2 => Self::Tentative,
            3 => Self::Decline,
            _ => return None,
        })
    }
}

/// The answer to one meeting request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingReply<'a> {
    /// The answer.
    pub answer: UserResponse,
    /// The folder of the request, or of the appointment.
    pub collection_id: Cow<'a, str>,
    /// The message that asks, or the appointment.
    pub request_id: Cow<'a, str>,
    /// Which one of a series, `2026-03-14T03:00:00.000Z`; 14.1 and later.
    pub instance_id: Option<Cow<'a, str>>,
}

/// A MeetingResponse request (ASCMD 2.2.1.11).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MeetingResponseRequest<'a> {
    /// The answers.
    pub responses: Vec<MeetingReply<'a>>,
}

impl<'a> MeetingResponseRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::MEETING_RESPONSE);
        for reply in &self.responses {
            writer
                .start(tags::REQUEST)
                .number(tags::USER_RESPONSE, reply.answer.code())
                .element(tags::COLLECTION_ID, &reply.collection_id)
                .element(tags::REQUEST_ID, &reply.request_id);
            if let Some(id) = &reply.instance_id {
                writer.element(tags::INSTANCE_ID, id);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no MeetingResponse request, has no reply, or a reply lacks its answer or an id.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::MEETING_RESPONSE)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            if element.tag == tags::REQUEST {
                request.responses.push(reply(&mut reader, element)?);
            } else {
                reader.skip(element)?;
            }
        }
        if request.responses.is_empty() {
            return Err(reader.missing(tags::MEETING_RESPONSE, tags::REQUEST));
        }
        reader.finish()?;
        Ok(request)
    }
}

fn reply<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<MeetingReply<'a>, DecodeError> {
    let (mut answer, mut collection, mut request, mut instance_id) = (None, None, None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::USER_RESPONSE => {
                let code = reader.choice(element, "1, 2 or 3", UserResponse::from_code)?;
                answer = Some(code);
            }
            tags::COLLECTION_ID => collection = Some(reader.text(element)?),
            tags::REQUEST_ID => request = Some(reader.text(element)?),
            tags::INSTANCE_ID => instance_id = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    let missing = |tag| reader.missing(tags::REQUEST, tag);
    Ok(MeetingReply {
        answer: answer.ok_or_else(|| missing(tags::USER_RESPONSE))?,
        collection_id: collection.ok_or_else(|| missing(tags::COLLECTION_ID))?,
        request_id: request.ok_or_else(|| missing(tags::REQUEST_ID))?,
        instance_id,
    })
}

/// What became of one [`MeetingReply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingResult<'a> {
    /// The request that was answered.
    pub request_id: Cow<'a, str>,
    /// How it went.
    pub status: MeetingResponseStatus,
    /// The appointment, unless it was declined or went wrong.
    pub calendar_id: Option<Cow<'a, str>>,
}

/// A MeetingResponse answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MeetingResponseAnswer<'a> {
    /// A failure of the whole command, with a status common to all commands.
    pub status: Option<MeetingResponseStatus>,
    /// One per reply of the request.
    pub results: Vec<MeetingResult<'a>>,
    /// Results that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> MeetingResponseAnswer<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::MEETING_RESPONSE);
        if let Some(status) = self.status {
            writer.number(tags::STATUS, status.code());
        }
        for result in &self.results {
            writer
                .start(tags::RESULT)
                .element(tags::REQUEST_ID, &result.request_id)
                .number(tags::STATUS, result.status.code());
            if let Some(id) = &result.calendar_id {
                writer.element(tags::CALENDAR_ID, id);
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no MeetingResponse answer, or a result lacks its status.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::MEETING_RESPONSE)?;
        let mut answer = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::RESULT => {
                    let read = answer.skipped.item(&mut reader, element, result)?;
                    answer.results.extend(read);
                }
                tags::STATUS => {
                    let code = reader.optional(element, Reader::number)?;
                    answer.status = code.map(MeetingResponseStatus::from_code);
                }
                _ => reader.skip(element)?,
            }
        }
        reader.finish()?;
        Ok(answer)
    }
}

fn result<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<MeetingResult<'a>, DecodeError> {
    let (mut request_id, mut status, mut calendar_id) = (Cow::Borrowed(""), None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::REQUEST_ID => request_id = reader.text(element)?,
            tags::STATUS => status = reader.optional(element, Reader::number)?,
            tags::CALENDAR_ID => calendar_id = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::RESULT, tags::STATUS))?;
    Ok(MeetingResult {
        request_id,
        status: MeetingResponseStatus::from_code(status),
        calendar_id,
    })
}
