//! Free and busy times of a user's calendar (MS-ASCMD, MergedFreeBusy).

use eas::commands::{Appointment, ItemData};
use jiff::Timestamp;

use super::CALENDAR;
use super::folder::Folder;
use super::mailbox::find_number;

/// One digit stands for half an hour.
const SECONDS: i64 = 30 * 60;
/// The digits: their numbers are those of an appointment's BusyStatus up to here.
const OUT_OF_OFFICE: u8 = 3;
const NO_DATA: u8 = 4;

/// A digit for each half hour from `start` to `end`, in seconds since 1970: the highest of all appointments
/// in it. Of a series only its first appointment counts.
pub(super) fn merged(folders: &[Folder], start: i64, end: i64) -> String {
    let count = end.saturating_sub(start).max(0);
    let count = usize::try_from(count.unsigned_abs().div_ceil(SECONDS.unsigned_abs())).unwrap_or(0);
    let Some(calendar) = find_number(folders, CALENDAR) else {
        return digits(&vec![NO_DATA; count]);
    };
    let mut slots = vec![0; count];
    for (_, content, _) in calendar.newest() {
        if let ItemData::Calendar(appointment) = &content.data {
            mark(&mut slots, start, appointment);
        }
    }
    digits(&slots)
}

fn mark(slots: &mut [u8], start: i64, appointment: &Appointment<'_>) {
    let (Some(from), Some(until)) = (seconds(&appointment.start), seconds(&appointment.end)) else {
        return;
    };
    let slot = |time: i64| {
        usize::try_from(time.saturating_sub(start).max(0) / SECONDS).unwrap_or(usize::MAX)
    };
    let (first, after) = (slot(from), slot(until.saturating_add(SECONDS - 1)));
    // Beyond them is 4, works elsewhere (16.0): that is free.
    let busy = Some(appointment.busy_status).filter(|status| *status <= OUT_OF_OFFICE);
    let busy = busy.unwrap_or_default();
    let after = after.min(slots.len());
    for digit in slots.get_mut(first..after).into_iter().flatten() {
        *digit = busy.max(*digit);
    }
}

fn seconds(time: &str) -> Option<i64> {
    Some(time.parse::<Timestamp>().ok()?.as_second())
}

fn digits(slots: &[u8]) -> String {
    slots.iter().map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Mailbox;
    use super::*;

    /// Midnight of 2026-03-14 UTC.
    fn midnight() -> i64 {
        seconds("20260314T000000Z").unwrap()
    }

    fn calendar(appointments: &[(&str, &str, u8)]) -> Mailbox {
        let mut mailbox = Mailbox::new();
        let calendar = super::super::folder_mut(&mut mailbox.folders, CALENDAR).unwrap();
        for (start, end, busy_status) in appointments {
            let appointment = Appointment {
                start: (*start).to_owned().into(),
                end: (*end).to_owned().into(),
                busy_status: *busy_status,
                ..Appointment::default()
            };
            calendar.add(ItemData::Calendar(Box::new(appointment)), None);
        }
        mailbox
    }

    #[test]
    fn each_half_hour_has_the_highest_digit_of_its_appointments() {
        let mailbox = calendar(&[
            ("20260314T003000Z", "20260314T013000Z", 2),
            ("20260314T011500Z", "20260314T014500Z", 3),
            ("20260314T020000Z", "20260314T023000Z", 1),
            ("20260313T230000Z", "20260314T000001Z", 1),
            ("20260314T025900Z", "20260315T000000Z", 3),
            ("20260314T000000Z", "20260315T000000Z", 4),
            ("nonsense", "20260315T000000Z", 2),
        ]);
        let digits = merged(&mailbox.folders, midnight(), midnight() + 3 * 3600);
        assert_eq!(digits, "123313".to_owned());
    }

    #[test]
    fn time_outside_appointments_is_free_and_the_last_digit_may_be_part_of_half_an_hour() {
        let mailbox = calendar(&[("20260313T220000Z", "20260314T000000Z", 2)]);
        assert_eq!(
            merged(&mailbox.folders, midnight(), midnight() + 3601),
            "000"
        );
        assert_eq!(merged(&mailbox.folders, midnight(), midnight()), "");
        assert_eq!(merged(&mailbox.folders, midnight(), midnight() - 1), "");
        assert_eq!(merged(&[], midnight(), midnight() + 3600), "44");
    }
}
