use std::borrow::Cow;

use super::Skipped;
use crate::status::ResolveRecipientsStatus;
use crate::wbxml::{DecodeError, Element, EncodeError, Reader, Writer, resolve_recipients as tags};

/// A ResolveRecipients request (ASCMD 2.2.1.15). It asks neither for certificates nor for pictures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolveRecipientsRequest<'a> {
    /// Names and addresses, whole or in part; at most 20.
    pub to: Vec<Cow<'a, str>>,
    /// Asks for free and busy times; 14.0 and later.
    pub availability: Option<Availability<'a>>,
}

/// The time of which free and busy times are asked for, `2026-03-14T03:00:00.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Availability<'a> {
    /// Its begin.
    pub start: Cow<'a, str>,
    /// Its end; seven days after its begin if absent (ASCMD 2.2.3.61.1).
    pub end: Option<Cow<'a, str>>,
}

impl<'a> ResolveRecipientsRequest<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.start(tags::RESOLVE_RECIPIENTS);
        for to in &self.to {
            writer.element(tags::TO, to);
        }
        if let Some(availability) = &self.availability {
            writer
                .start(tags::OPTIONS)
                .start(tags::AVAILABILITY)
                .element(tags::START_TIME, &availability.start);
            if let Some(end) = &availability.end {
                writer.element(tags::END_TIME, end);
            }
            writer.end().end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ResolveRecipients request, or names nobody.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::RESOLVE_RECIPIENTS)?;
        let mut request = Self::default();
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::TO => {
                    let to = reader.text_within(element, &(1..=256), "1 to 256 characters")?;
                    request.to.push(to);
                }
                tags::OPTIONS => {
                    while let Some(option) = reader.child(element)? {
                        if option.tag == tags::AVAILABILITY {
                            request.availability = Some(availability(&mut reader, option)?);
                        } else {
                            reader.skip(option)?;
                        }
                    }
                }
                _ => reader.skip(element)?,
            }
        }
        if request.to.is_empty() {
            return Err(reader.missing(tags::RESOLVE_RECIPIENTS, tags::TO));
        }
        reader.finish()?;
        Ok(request)
    }
}

fn availability<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Availability<'a>, DecodeError> {
    let (mut start, mut end) = (None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::START_TIME => start = reader.optional(element, Reader::text)?,
            tags::END_TIME => end = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    Ok(Availability {
        start: start.ok_or_else(|| reader.missing(parent.tag, tags::START_TIME))?,
        end,
    })
}

/// Someone a name or an address stands for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipient<'a> {
    /// Where it was found: 1 in the global address list, 2 in the user's contacts.
    pub kind: u8,
    /// Name for people.
    pub display_name: Cow<'a, str>,
    /// Address.
    pub email: Cow<'a, str>,
    /// Free and busy times, where the request asks for them.
    pub availability: Option<RecipientAvailability<'a>>,
}

/// Free and busy times of a recipient (ASCMD, Availability).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientAvailability<'a> {
    /// Whether they are known.
    pub status: ResolveRecipientsStatus,
    /// A digit for each half hour: 0 free, 1 tentative, 2 busy, 3 out of office, 4 no data.
    pub merged_free_busy: Option<Cow<'a, str>>,
}

/// What one name or address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedRecipients<'a> {
    /// The text of the request.
    pub to: Cow<'a, str>,
    /// Whether it is known, and whether it means one only.
    pub status: ResolveRecipientsStatus,
    /// Whom it stands for.
    pub recipients: Vec<Recipient<'a>>,
}

/// A ResolveRecipients answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveRecipientsAnswer<'a> {
    /// The command's status.
    pub status: ResolveRecipientsStatus,
    /// One per text of the request.
    pub responses: Vec<ResolvedRecipients<'a>>,
    /// Responses that do not fit the schema.
    pub skipped: Skipped,
}

impl<'a> ResolveRecipientsAnswer<'a> {
    /// As a body.
    ///
    /// # Errors
    /// When a text cannot be a WBXML string.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer
            .start(tags::RESOLVE_RECIPIENTS)
            .number(tags::STATUS, self.status.code());
        for response in &self.responses {
            writer
                .start(tags::RESPONSE)
                .element(tags::TO, &response.to)
                .number(tags::STATUS, response.status.code())
                .element(
                    tags::RECIPIENT_COUNT,
                    &response.recipients.len().to_string(),
                );
            for recipient in &response.recipients {
                writer
                    .start(tags::RECIPIENT)
                    .number(tags::TYPE, recipient.kind)
                    .element(tags::DISPLAY_NAME, &recipient.display_name)
                    .element(tags::EMAIL_ADDRESS, &recipient.email);
                if let Some(availability) = &recipient.availability {
                    writer
                        .start(tags::AVAILABILITY)
                        .number(tags::STATUS, availability.status.code());
                    if let Some(digits) = &availability.merged_free_busy {
                        writer.element(tags::MERGED_FREE_BUSY, digits);
                    }
                    writer.end();
                }
                writer.end();
            }
            writer.end();
        }
        writer.end();
        writer.finish()
    }

    /// From a body.
    ///
    /// # Errors
    /// When it is no ResolveRecipients answer, or a status is missing.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body)?;
        let root = reader.root(tags::RESOLVE_RECIPIENTS)?;
        let mut status = None;
        let (mut responses, mut skipped) = (Vec::new(), Skipped::default());
        while let Some(element) = reader.child(root)? {
            match element.tag {
                tags::STATUS => status = reader.optional(element, Reader::number)?,
                tags::RESPONSE => {
                    let read = skipped.item(&mut reader, element, response)?;
                    responses.extend(read);
                }
                _ => reader.skip(element)?,
            }
        }
        let status =
            status.ok_or_else(|| reader.missing(tags::RESOLVE_RECIPIENTS, tags::STATUS))?;
        reader.finish()?;
        Ok(Self {
            status: ResolveRecipientsStatus::from_code(status),
            responses,
            skipped,
        })
    }
}

fn response<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<ResolvedRecipients<'a>, DecodeError> {
    let (mut to, mut status, mut recipients) = (Cow::Borrowed(""), None, Vec::new());
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::TO => to = reader.text(element)?,
            tags::STATUS => status = reader.optional(element, Reader::number)?,
            tags::RECIPIENT => recipients.push(recipient(reader, element)?),
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(tags::RESPONSE, tags::STATUS))?;
    Ok(ResolvedRecipients {
        to,
        status: ResolveRecipientsStatus::from_code(status),
        recipients,
    })
}

fn recipient<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Recipient<'a>, DecodeError> {
    let mut recipient = Recipient::default();
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::TYPE => {
                recipient.kind = reader
                    .optional(element, Reader::number)?
                    .unwrap_or_default();
            }
            tags::DISPLAY_NAME => recipient.display_name = reader.text(element)?,
            tags::EMAIL_ADDRESS => recipient.email = reader.text(element)?,
            tags::AVAILABILITY => {
                recipient.availability = reader.optional(element, recipient_availability)?;
            }
            _ => reader.skip(element)?,
        }
    }
    Ok(recipient)
}

fn recipient_availability<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<RecipientAvailability<'a>, DecodeError> {
    let (mut status, mut merged_free_busy) = (None, None);
    while let Some(element) = reader.child(parent)? {
        match element.tag {
            tags::STATUS => status = reader.optional(element, Reader::number)?,
            tags::MERGED_FREE_BUSY => merged_free_busy = reader.optional(element, Reader::text)?,
            _ => reader.skip(element)?,
        }
    }
    let status = status.ok_or_else(|| reader.missing(parent.tag, tags::STATUS))?;
    Ok(RecipientAvailability {
        status: ResolveRecipientsStatus::from_code(status),
        merged_free_busy,
    })
}
