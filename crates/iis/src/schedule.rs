//! Times of day → moments.

use jiff::{ToSpan, Zoned, civil};

/// The next moment, strictly after `after` and in its time zone, at which a schedule recycles.
/// `None` without times, and at the end of the calendar.
///
/// On days when the clock is changed this is an assumption, for no source states what IIS does:
/// a time that does not exist is due as much later as the clock was put forward (02:30 at 03:30,
/// the "compatible" reading of RFC 5545), and a time that occurs twice is due the first time only.
#[must_use]
pub fn next_due(schedule: &[civil::Time], after: &Zoned) -> Option<Zoned> {
    // A change of the clock around midnight moves times over the date line, in both directions.
    (-1..=2)
        .filter_map(|days| after.date().checked_add(days.days()).ok())
        .flat_map(|date| schedule.iter().map(move |time| date.to_datetime(*time)))
        .filter_map(|due| {
            let zone = after.time_zone();
            zone.to_ambiguous_zoned(due).compatible().ok()
        })
        .filter(|due| due > after)
        .min()
}
