use std::borrow::Cow;

use super::recurrence::{EMAIL as RECURRENCE, Recurrence};
use super::{read_location, write_location, write_texts};
use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, calendar, email as tags};

/// A meeting that a message asks for (MS-ASEMAIL, MeetingRequest). Times are written
/// `2026-03-14T03:00:00.000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MeetingRequest<'a> {
    /// Begin.
    pub start: Cow<'a, str>,
    /// End.
    pub end: Cow<'a, str>,
    /// When the request was made.
    pub dt_stamp: Cow<'a, str>,
    /// Who asks.
    pub organizer: Cow<'a, str>,
    /// Where.
    pub location: Cow<'a, str>,
    /// The meeting's name all over the world: base64 up to 14.1, the appointment's UID from 16.0
    /// on.
    pub global_obj_id: Cow<'a, str>,
    /// 0 a single appointment, 1 a series, 2 one of a series, 3 an exception of a series.
    pub instance_type: u8,
    /// Which one of a series.
    pub recurrence_id: Cow<'a, str>,
    /// The rule of a series.
    pub recurrence: Option<Recurrence<'a>>,
    /// It lasts whole days.
    pub all_day: bool,
    /// The organizer wants an answer.
    pub response_requested: bool,
    /// 0 free, 1 tentative, 2 busy, 3 out of office.
    pub busy_status: u8,
    /// 0 normal, 1 personal, 2 private, 3 confidential.
    pub sensitivity: u8,
    /// Minutes before the begin.
    pub reminder: Option<u32>,
    /// As in [`Appointment::timezone`](super::Appointment::timezone).
    pub timezone: Cow<'a, str>,
}

impl<'a> MeetingRequest<'a> {
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        writer
            .start(tags::MEETING_REQUEST)
            .flag(tags::ALL_DAY_EVENT, self.all_day)
            .element(tags::START_TIME, &self.start)
            .element(tags::DT_STAMP, &self.dt_stamp)
            .element(tags::END_TIME, &self.end)
            .number(tags::INSTANCE_TYPE, self.instance_type);
        write_location(writer, tags::LOCATION, &self.location, version);
        write_texts(
            writer,
            [
                (tags::ORGANIZER, &self.organizer),
                (tags::RECURRENCE_ID, &self.recurrence_id),
            ],
        );
        if let Some(minutes) = self.reminder {
            writer.number(tags::REMINDER, minutes);
        }
        writer.flag(tags::RESPONSE_REQUESTED, self.response_requested);
        if let Some(rule) = &self.recurrence {
            writer.start(tags::RECURRENCES);
            rule.write(writer, &RECURRENCE, None);
            writer.end();
        }
        writer
            .number(tags::SENSITIVITY, self.sensitivity)
            .number(tags::BUSY_STATUS, self.busy_status)
            .element(tags::TIME_ZONE, &self.timezone);
        if version >= ProtocolVersion::V16_0 {
            writer.element(calendar::UID, &self.global_obj_id);
        } else {
            writer.element(tags::GLOBAL_OBJ_ID, &self.global_obj_id);
        }
        writer.end();
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Self, DecodeError> {
        let mut meeting = Self::default();
        while let Some(field) = reader.child(parent)? {
            match field.tag {
                tags::START_TIME => meeting.start = reader.text(field)?,
                tags::END_TIME => meeting.end = reader.text(field)?,
                tags::DT_STAMP => meeting.dt_stamp = reader.text(field)?,
                tags::ORGANIZER => meeting.organizer = reader.text(field)?,
                tags::LOCATION => meeting.location = reader.text(field)?,
                air_sync_base::LOCATION => meeting.location = read_location(reader, field)?,
                tags::GLOBAL_OBJ_ID | calendar::UID => {
                    meeting.global_obj_id = reader.text(field)?;
                }
                tags::INSTANCE_TYPE => {
                    meeting.instance_type =
                        reader.optional(field, Reader::number)?.unwrap_or_default();
                }
                tags::RECURRENCE_ID => meeting.recurrence_id = reader.text(field)?,
                tags::RECURRENCES => {
                    while let Some(rule) = reader.child(field)? {
                        meeting.recurrence = Recurrence::read(reader, rule, &RECURRENCE)?;
                    }
                }
                tags::ALL_DAY_EVENT => {
                    meeting.all_day = reader.optional(field, Reader::flag)?.unwrap_or_default();
                }
                tags::RESPONSE_REQUESTED => {
                    meeting.response_requested =
                        reader.optional(field, Reader::flag)?.unwrap_or_default();
                }
                tags::BUSY_STATUS => {
                    meeting.busy_status =
                        reader.optional(field, Reader::number)?.unwrap_or_default();
                }
                tags::SENSITIVITY => {
                    meeting.sensitivity =
                        reader.optional(field, Reader::number)?.unwrap_or_default();
                }
                tags::REMINDER => meeting.reminder = reader.optional(field, Reader::number)?,
                tags::TIME_ZONE => meeting.timezone = reader.text(field)?,
                _ => reader.skip(field)?,
            }
        }
        Ok(meeting)
    }
}
