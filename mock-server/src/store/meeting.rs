//! Meeting requests in the Inbox, and what becomes of them (ASCMD 2.2.1.11).

use std::sync::Arc;

use eas::commands::{Appointment, ItemData};
use eas::status::MeetingResponseStatus;

use super::content::Content;
use super::folder::Item;
use super::turn::Turn;
use super::{CALENDAR, Reply, find, folder_mut, place};

/// BusyStatus of a meeting that is accepted, and of one that is perhaps (ASCAL 2.2.2.8).
const BUSY: u8 = 2;
const TENTATIVE: u8 = 1;
/// MeetingStatus of a meeting that somebody else has called (ASCAL 2.2.2.28).
const RECEIVED: u8 = 3;

impl Turn<'_> {
    /// Takes a request out of its folder and puts the meeting into the calendar, unless it is
    /// declined; the id there, or the status of a request that is not there or whose meeting finds no
    /// room.
    pub(super) fn respond(
        &mut self,
        folder: &str,
        request: &str,
        reply: Reply,
    ) -> Result<Option<String>, u16> {
        let is_declined = reply == Reply::Decline;
        let (at, number, appointment) = self
            .meeting(folder, request, reply)
            .ok_or(MeetingResponseStatus::InvalidRequest.code())?;
        let content = Content::new(ItemData::Calendar(Box::new(appointment)));
        if !is_declined && !self.has_room(CALENDAR, &content) {
            return Err(MeetingResponseStatus::MailboxError.code());
        }
        // The server does both, so this device is told of them with its next Sync like any other.
        if let Some(inbox) = folder_mut(self.folders, at) {
            inbox.take(number, None);
        }
        if is_declined {
            return Ok(None);
        }
        let calendar =
            folder_mut(self.folders, CALENDAR).ok_or(MeetingResponseStatus::MailboxError.code())?;
        let number = calendar.put(Item::new(Arc::new(content)), None);
        self.announce(CALENDAR, false);
        Ok(Some(format!("{CALENDAR}:{number}")))
    }

    /// Folder and number of a request, and the appointment that a reply makes of it.
    fn meeting(
        &self,
        folder: &str,
        request: &str,
        reply: Reply,
    ) -> Option<(u32, u32, Appointment<'static>)> {
        let (at, number) = place(request)?;
        let source = find(self.folders, folder)?;
        if source.record.id != at {
            return None;
        }
        let email = source.content(number)?.data.as_email()?;
        let meeting = email.meeting.as_deref()?;
        let appointment = Appointment {
            uid: meeting.global_obj_id.clone(),
            subject: email.subject.clone(),
            start: compact(&meeting.start).into(),
            end: compact(&meeting.end).into(),
            dt_stamp: compact(&meeting.dt_stamp).into(),
            location: meeting.location.clone(),
            organizer_email: meeting.organizer.clone(),
            organizer_name: meeting.organizer.clone(),
            busy_status: if reply == Reply::Accept {
                BUSY
            } else {
                TENTATIVE
            },
            meeting_status: RECEIVED,
            ..Appointment::default()
        };
        Some((at, number, appointment))
    }
}

/// Messages write times with signs between the digits (`2026-03-14T03:00:00.000Z`), calendars without
/// (ASDTYPE 2.7.2).
fn compact(time: &str) -> String {
    let whole = time.split('.').next().unwrap_or(time);
    let digits: String = whole
        .chars()
        .filter(|sign| !"-:Z".contains(*sign))
        .collect();
    format!("{digits}Z")
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn both_forms_of_a_time() {
        assert_eq!(compact("2026-03-14T03:00:00.000Z"), "20260314T030000Z");
        assert_eq!(compact("20260314T030000Z"), "20260314T030000Z");
    }
}
