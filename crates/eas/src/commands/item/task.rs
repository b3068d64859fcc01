use std::borrow::Cow;

use super::body::{Body, write_notes};
use super::recurrence::{Recurrence, TASKS as RECURRENCE};
use super::write_texts;
use crate::ProtocolVersion;
use crate::wbxml::{DecodeError, Element, Reader, Writer, air_sync_base, tasks as tags};

/// The parts of a task that a device keeps (MS-ASTASK 2.2.2). Times are written
/// `2026-03-14T03:00:00.000Z`; of a date in local time and the same in UTC both are there or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Task<'a> {
    /// Subject.
    pub subject: Cow<'a, str>,
    /// Done.
    pub complete: bool,
    /// When it was done.
    pub date_completed: Cow<'a, str>,
    /// 0 low, 1 normal, 2 high.
    pub importance: u8,
    /// 0 normal, 1 personal, 2 private, 3 confidential.
    pub sensitivity: u8,
    /// When it should begin, in UTC.
    pub utc_start_date: Cow<'a, str>,
    /// When it should begin, in local time.
    pub start_date: Cow<'a, str>,
    /// When it must be done, in UTC.
    pub utc_due_date: Cow<'a, str>,
    /// When it must be done, in local time.
    pub due_date: Cow<'a, str>,
    /// When to remind; empty for never.
    pub reminder_time: Cow<'a, str>,
    /// The rule of a series, which begins with the start date.
    pub recurrence: Option<Recurrence<'a>>,
    /// Notes.
    pub body: Body<'a>,
}

impl<'a> Task<'a> {
    pub(super) fn write(&self, writer: &mut Writer, version: ProtocolVersion) {
        write_notes(
            writer,
            (tags::BODY, tags::BODY_TRUNCATED),
            &self.body,
            version,
        );
        writer
            .element(tags::SUBJECT, &self.subject)
            .number(tags::IMPORTANCE, self.importance);
        write_texts(
            writer,
            [
                (tags::UTC_START_DATE, &self.utc_start_date),
                (tags::START_DATE, &self.start_date),
                (tags::UTC_DUE_DATE, &self.utc_due_date),
                (tags::DUE_DATE, &self.due_date),
            ],
        );
        if let Some(rule) = &self.recurrence {
            rule.write(writer, &RECURRENCE, Some((tags::START, &self.start_date)));
        }
        writer.flag(tags::COMPLETE, self.complete);
        write_texts(writer, [(tags::DATE_COMPLETED, &self.date_completed)]);
        writer
            .number(tags::SENSITIVITY, self.sensitivity)
            .flag(tags::REMINDER_SET, !self.reminder_time.is_empty());
        write_texts(writer, [(tags::REMINDER_TIME, &self.reminder_time)]);
    }

    pub(super) fn read(reader: &mut Reader<'a>, parent: Element) -> Result<Box<Self>, DecodeError> {
        let mut item = Box::<Self>::default();
        while let Some(element) = reader.child(parent)? {
            let field = match element.tag {
                tags::SUBJECT => &mut item.subject,
                tags::DATE_COMPLETED => &mut item.date_completed,
                tags::UTC_START_DATE => &mut item.utc_start_date,
                tags::START_DATE => &mut item.start_date,
                tags::UTC_DUE_DATE => &mut item.utc_due_date,
                tags::DUE_DATE => &mut item.due_date,
                tags::REMINDER_TIME => &mut item.reminder_time,
                tags::BODY => &mut item.body.text,
                _ => {
                    item.read_other(reader, element)?;
                    continue;
                }
            };
            *field = reader.text(element)?;
        }
        Ok(item)
    }

    /// Consumes an element that is no text.
    fn read_other(&mut self, reader: &mut Reader<'a>, element: Element) -> Result<(), DecodeError> {
        match element.tag {
            tags::COMPLETE => {
                self.complete = reader.optional(element, Reader::flag)?.unwrap_or_default();
            }
            tags::IMPORTANCE => {
                self.importance = reader
                    .optional(element, Reader::number)?
                    .unwrap_or_default();
            }
            tags::SENSITIVITY => {
                self.sensitivity = reader
                    .optional(element, Reader::number)?
                    .unwrap_or_default();
            }
            tags::RECURRENCE => {
                self.recurrence = Recurrence::read(reader, element, &RECURRENCE)?;
            }
            tags::BODY_TRUNCATED => {
                self.body.truncated = reader.optional(element, Reader::flag)?.unwrap_or_default();
            }
            air_sync_base::BODY => self.body = Body::read(reader, element)?,
            _ => reader.skip(element)?,
        }
        Ok(())
    }
}
