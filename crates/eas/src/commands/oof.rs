use std::borrow::Cow;

use crate::status::SettingsStatus;
use crate::wbxml::{DecodeError, Element, Reader, Tag, Writer, settings as tags};

/// Whether the server answers for the user (ASCMD, OofState).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OofState {
    /// It does not.
    #[default]
    Disabled,
    /// It does.
    Global,
    /// It does between two points of time.
    TimeBased,
}

impl OofState {
    /// Its number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Disabled => 0,
            Self::Global => 1,
            Self::TimeBased => 2,
        }
    }

    /// The state of a number on the wire.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Disabled,
            1 => Self::Global,
            2 => Self::TimeBased,
            _ => return None,
        })
    }
}

/// Who gets an out-of-office message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OofAudience {
    /// The user's organization.
    Internal,
    /// Others whom the user knows.
    ExternalKnown,
    /// All others.
    ExternalUnknown,
}

impl OofAudience {
    /// Every audience.
    pub const ALL: [Self; 3] = [Self::Internal, Self::ExternalKnown, Self::ExternalUnknown];

    const fn tag(self) -> Tag {
        match self {
            Self::Internal => tags::APPLIES_TO_INTERNAL,
            Self::ExternalKnown => tags::APPLIES_TO_EXTERNAL_KNOWN,
            Self::ExternalUnknown => tags::APPLIES_TO_EXTERNAL_UNKNOWN,
        }
    }
}

/// One out-of-office message (ASCMD, OofMessage).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OofMessage<'a> {
    /// Who gets it.
    pub audience: OofAudience,
    /// Whether they get it.
    pub enabled: bool,
    /// What it says.
    pub reply: Cow<'a, str>,
    /// In which form: `TEXT` or `HTML`.
    pub body_type: Cow<'a, str>,
}

/// The out-of-office setting (ASCMD, Oof).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Oof<'a> {
    /// Whether the server answers.
    pub state: OofState,
    /// From when on, `2026-03-14T03:00:00.000Z`, if time-based.
    pub start: Option<Cow<'a, str>>,
    /// Until when, if time-based.
    pub end: Option<Cow<'a, str>>,
    /// What it answers.
    pub messages: Vec<OofMessage<'a>>,
}

/// What a request does with the out-of-office setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OofRequest<'a> {
    /// Asks for it, as plain text.
    Get,
    /// Sets it.
    Set(Oof<'a>),
}

/// The form of plain text.
const TEXT: &str = "TEXT";

impl<'a> OofRequest<'a> {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer.start(tags::OOF);
        match self {
            Self::Get => {
                writer.start(tags::GET).element(tags::BODY_TYPE, TEXT).end();
            }
            Self::Set(oof) => oof.write(tags::SET, writer),
        }
        writer.end();
    }

    /// Consumes the property; `None` if it neither asks nor sets.
    pub(super) fn read(
        reader: &mut Reader<'a>,
        parent: Element,
    ) -> Result<Option<Self>, DecodeError> {
        let mut request = None;
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::GET => {
                    reader.skip(element)?;
                    request = Some(Self::Get);
                }
                tags::SET => {
                    let set = reader.optional(element, Oof::read)?;
                    request = set.map(Self::Set).or(request);
                }
                _ => reader.skip(element)?,
            }
        }
        Ok(request)
    }
}

/// What an answer says of the out-of-office setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OofAnswer<'a> {
    /// Whether the server could say or set it.
    pub status: SettingsStatus,
    /// The setting, if it was asked for.
    pub oof: Option<Oof<'a>>,
}

impl<'a> OofAnswer<'a> {
    pub(super) fn write(&self, writer: &mut Writer) {
        writer
            .start(tags::OOF)
            .number(tags::STATUS, self.status.code());
        if let Some(oof) = &self.oof {
            oof.write(tags::GET, writer);
        }
        writer.end();
    }

    /// Consumes the property; one without Status counts as successful.
    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut answer = Self {
            status: SettingsStatus::Success,
            oof: None,
        };
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::STATUS => {
                    if let Some(code) = reader.optional(element, Reader::number)? {
                        answer.status = SettingsStatus::from_code(code);
                    }
                }
                tags::GET => answer.oof = reader.optional(element, Oof::read)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(answer)
    }
}

impl<'a> Oof<'a> {
    fn write(&self, tag: Tag, writer: &mut Writer) {
        writer.start(tag).number(tags::OOF_STATE, self.state.code());
        for (tag, time) in [(tags::START_TIME, &self.start), (tags::END_TIME, &self.end)] {
            if let Some(time) = time {
                writer.element(tag, time);
            }
        }
        for message in &self.messages {
            writer
                .start(tags::OOF_MESSAGE)
                .empty(message.audience.tag())
                .flag(tags::ENABLED, message.enabled)
                .element(tags::REPLY_MESSAGE, &message.reply)
                .element(tags::BODY_TYPE, &message.body_type)
                .end();
        }
        writer.end();
    }

    fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut oof = Self::default();
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::OOF_STATE => {
                    let state = reader.optional(element, |reader, element| {
                        reader.choice(element, "0, 1 or 2", OofState::from_code)
                    })?;
                    oof.state = state.unwrap_or_default();
                }
                tags::START_TIME => oof.start = reader.optional(element, Reader::text)?,
                tags::END_TIME => oof.end = reader.optional(element, Reader::text)?,
                tags::OOF_MESSAGE => oof.messages.extend(message(reader, element)?),
                _ => reader.skip(element)?,
            }
        }
        Ok(oof)
    }
}

/// A message for nobody is none.
fn message<'a>(
    reader: &mut Reader<'a>,
    parent: Element,
) -> Result<Option<OofMessage<'a>>, DecodeError> {
    let (mut audience, mut enabled) = (None, false);
    let (mut reply, mut body_type) = (Cow::Borrowed(""), Cow::Borrowed(TEXT));
    while let Some(element) = reader.child(parent)? {
        let applies = OofAudience::ALL
            .into_iter()
            .find(|audience| audience.tag() == element.tag);
        match element.tag {
            tags::ENABLED => {
                enabled = reader.optional(element, Reader::flag)?.unwrap_or_default();
            }
            tags::REPLY_MESSAGE => reply = reader.text(element)?,
            tags::BODY_TYPE => {
                body_type = reader.optional(element, Reader::text)?.unwrap_or(body_type);
            }
            _ => {
                audience = applies.or(audience);
                reader.skip(element)?;
            }
        }
    }
    Ok(audience.map(|audience| OofMessage {
        audience,
        enabled,
        reply,
        body_type,
    }))
}
