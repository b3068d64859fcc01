use std::borrow::Cow;

use super::body::{Body, write_notes};
use super::recurrence::{CALENDAR as RECURRENCE, Recurrence};
use super::{Sender, read_location, write_location, write_texts};
use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, calendar as tags};

/// [`Appointment::timezone`] of UTC: no bias, no names, no daylight saving time.
pub const UTC_TIME_ZONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

/// The parts of an appointment that a device keeps (MS-ASCAL 2.2.2). Times are in the compact form
/// of UTC, `20260314T030000Z`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Appointment<'a> {
    /// Its name all over the world. A client of 16.0 or later names it with ClientUid, for the
    /// server gives it its UID.
    pub uid: Cow<'a, str>,
    /// Subject.
    pub subject: Cow<'a, str>,
    /// Begin.
    pub start: Cow<'a, str>,
    /// End.
    pub end: Cow<'a, str>,
    /// When it was made or changed. Clients of 16.0 and later do not say.
    pub dt_stamp: Cow<'a, str>,
    /// Where.
    pub location: Cow<'a, str>,
    /// Who asks for the meeting. Clients of 16.0 and later do not say.
    pub organizer_name: Cow<'a, str>,
    /// The same one's address.
    pub organizer_email: Cow<'a, str>,
    /// It lasts whole days.
    pub all_day: bool,
    /// 0 free, 1 tentative, 2 busy, 3 out of office.
    pub busy_status: u8,
    /// 0 normal, 1 personal, 2 private, 3 confidential.
    pub sensitivity: u8,
    /// 0 an appointment, 1 a meeting of the user's, 3 a meeting the user is asked to, 5 and 7 the
    /// same cancelled.
    pub meeting_status: u8,
    /// Minutes before the begin.
    pub reminder: Option<u32>,
    /// The time zone: a structure of 172 bytes in base64, for example [`UTC_TIME_ZONE`].
    pub timezone: Cow<'a, str>,
    /// Who is asked to come.
    pub attendees: Vec<Attendee<'a>>,
    /// The rule of a series.
    pub recurrence: Option<Recurrence<'a>>,
    /// Notes.
    pub body: Body<'a>,
}

/// Someone who is asked to come to a meeting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attendee<'a> {
    /// Address.
    pub email: Cow<'a, str>,
    /// Name.
    pub name: Cow<'a, str>,
}

impl<'a> Appointment<'a> {
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion, sender: Sender) {
        let server_fills_in = sender == Sender::Client && version >= ProtocolVersion::V16_0;
        write_texts(writer, [(tags::TIMEZONE, &self.timezone)]);
        writer
            .flag(tags::ALL_DAY_EVENT, self.all_day)
            .number(tags::BUSY_STATUS, self.busy_status);
        if !server_fills_in {
            write_texts(
                writer,
                [
                    (tags::ORGANIZER_NAME, &self.organizer_name),
                    (tags::ORGANIZER_EMAIL, &self.organizer_email),
                    (tags::DT_STAMP, &self.dt_stamp),
                ],
            );
        }
        write_texts(
            writer,
            [(tags::END_TIME, &self.end), (tags::START_TIME, &self.start)],
        );
        write_location(writer, tags::LOCATION, &self.location, version);
        if let Some(minutes) = self.reminder {
            writer.number(tags::REMINDER, minutes);
        }
        writer
            .number(tags::SENSITIVITY, self.sensitivity)
            .element(tags::SUBJECT, &self.subject);
        let uid = if server_fills_in {
            tags::CLIENT_UID
        } else {
            tags::UID
        };
        write_texts(writer, [(uid, &self.uid)]);
        writer.number(tags::MEETING_STATUS, self.meeting_status);
        if !self.attendees.is_empty() {
            writer.start(tags::ATTENDEES);
            for attendee in &self.attendees {
                writer
                    .start(tags::ATTENDEE)
                    .element(tags::EMAIL, &attendee.email)
                    .element(tags::NAME, &attendee.name)
                    .end();
            }
            writer.end();
        }
        if let Some(rule) = &self.recurrence {
            rule.write(writer, &RECURRENCE, None);
        }
        write_notes(
            writer,
            (tags::BODY, tags::BODY_TRUNCATED),
            &self.body,
            version,
        );
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Box<Self>, DecodeError> {
        let mut item = Box::<Self>::default();
        while let Some(element) = reader.child(parent)? {
            match element.tag {
                tags::UID | tags::CLIENT_UID => item.uid = reader.text(element)?,
                tags::SUBJECT => item.subject = reader.text(element)?,
                tags::START_TIME => item.start = reader.text(element)?,
                tags::END_TIME => item.end = reader.text(element)?,
                tags::DT_STAMP => item.dt_stamp = reader.text(element)?,
                tags::LOCATION => item.location = reader.text(element)?,
                air_sync_base::LOCATION => item.location = read_location(reader, element)?,
                tags::ORGANIZER_NAME => item.organizer_name = reader.text(element)?,
                tags::ORGANIZER_EMAIL => item.organizer_email = reader.text(element)?,
                tags::ALL_DAY_EVENT => {
                    item.all_day = reader.optional(element, Reader::flag)?.unwrap_or_default();
                }
                tags::BUSY_STATUS => {
                    item.busy_status = reader
                        .optional(element, Reader::number)?
                        .unwrap_or_default();
                }
                tags::SENSITIVITY => {
                    item.sensitivity = reader
                        .optional(element, Reader::number)?
                        .unwrap_or_default();
                }
                tags::MEETING_STATUS => {
                    item.meeting_status = reader
                        .optional(element, Reader::number)?
                        .unwrap_or_default();
                }
                // Outlook and iOS empty it where there is none.
                tags::REMINDER => item.reminder = reader.optional(element, Reader::number)?,
                tags::TIMEZONE => item.timezone = reader.text(element)?,
                tags::ATTENDEES => {
                    while let Some(one) = reader.child(element)? {
                        let attendee = reader.optional(one, attendee)?;
                        item.attendees
                            .extend(attendee.filter(|one| *one != Attendee::default()));
                    }
                }
                tags::RECURRENCE => {
                    item.recurrence = Recurrence::read(reader, element, &RECURRENCE)?;
                }
                tags::BODY => item.body.text = reader.text(element)?,
                tags::BODY_TRUNCATED => {
                    item.body.truncated =
                        reader.optional(element, Reader::flag)?.unwrap_or_default();
                }
                air_sync_base::BODY => item.body = Body::read(reader, element)?,
                _ => reader.skip(element)?,
            }
        }
        Ok(item)
    }
}

fn attendee<'a>(reader: &mut Reader<'a>, parent: Element) -> Result<Attendee<'a>, DecodeError> {
    let mut attendee = Attendee::default();
    while let Some(field) = reader.child(parent)? {
        match field.tag {
            tags::EMAIL => attendee.email = reader.text(field)?,
            tags::NAME => attendee.name = reader.text(field)?,
            _ => reader.skip(field)?,
        }
    }
    Ok(attendee)
}
