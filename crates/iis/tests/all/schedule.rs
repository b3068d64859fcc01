//! When a schedule is due, on ordinary days and on those when the clock is changed.

use iis::next_due;
use jiff::civil::{Time, date, time};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// The rule that Europe/Berlin has had since 1996, and America/New_York since 2007.
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";

fn zone(rule: &str) -> TimeZone {
    TimeZone::posix(rule).unwrap()
}

fn utc(text: &str, zone: &TimeZone) -> Zoned {
    text.parse::<Timestamp>().unwrap().to_zoned(zone.clone())
}

/// The next due moment as UTC.
fn due(schedule: &[Time], after: &str, rule: &str) -> String {
    let next = next_due(schedule, &utc(after, &zone(rule))).unwrap();
    next.timestamp().to_string()
}

#[test]
fn nothing_is_due_without_times() {
    assert_eq!(
        next_due(&[], &utc("2026-01-01T00:00:00Z", &zone(BERLIN))),
        None
    );
}

#[test]
fn the_next_of_several_times_is_due_whatever_their_order() {
    let schedule = [time(15, 0, 0, 0), time(3, 0, 0, 0)];
    for (after, expected) in [
        ("2026-01-10T01:59:59Z", "2026-01-10T02:00:00Z"),
        ("2026-01-10T02:00:00Z", "2026-01-10T14:00:00Z"),
        ("2026-01-10T14:00:00Z", "2026-01-11T02:00:00Z"),
        ("2026-01-10T22:59:59Z", "2026-01-11T02:00:00Z"),
        ("2026-12-31T14:00:00Z", "2027-01-01T02:00:00Z"),
    ] {
        assert_eq!(due(&schedule, after, BERLIN), expected, "after {after}");
    }
}

#[test]
fn a_time_is_due_strictly_after_itself() {
    let schedule = [time(3, 0, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-01-10T02:00:00Z", BERLIN),
        "2026-01-11T02:00:00Z"
    );
    assert_eq!(
        due(&schedule, "2026-01-10T01:59:59.999999999Z", BERLIN),
        "2026-01-10T02:00:00Z"
    );
}

#[test]
fn a_time_that_does_not_exist_is_due_an_hour_later() {
    // Berlin goes from 02:00 to 03:00 at 01:00 UTC; New York at 07:00 UTC.
    let schedule = [time(2, 30, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-03-28T12:00:00Z", BERLIN),
        "2026-03-29T01:30:00Z"
    );
    assert_eq!(
        due(&schedule, "2026-03-29T01:30:00Z", BERLIN),
        "2026-03-30T00:30:00Z"
    );
    assert_eq!(
        due(&schedule, "2026-03-08T06:00:00Z", NEW_YORK),
        "2026-03-08T07:30:00Z"
    );
    let edge = [time(2, 0, 0, 0)];
    assert_eq!(
        due(&edge, "2026-03-28T12:00:00Z", BERLIN),
        "2026-03-29T01:00:00Z"
    );
}

#[test]
fn a_time_that_occurs_twice_is_due_once() {
    // Berlin goes from 03:00 back to 02:00 at 01:00 UTC; New York from 02:00 at 06:00 UTC.
    let schedule = [time(2, 30, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-10-24T12:00:00Z", BERLIN),
        "2026-10-25T00:30:00Z"
    );
    for after in [
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:15:00Z",
        "2026-10-25T01:30:00Z",
    ] {
        assert_eq!(
            due(&schedule, after, BERLIN),
            "2026-10-26T01:30:00Z",
            "after {after}"
        );
    }
    let schedule = [time(1, 30, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-11-01T04:00:00Z", NEW_YORK),
        "2026-11-01T05:30:00Z"
    );
    assert_eq!(
        due(&schedule, "2026-11-01T06:15:00Z", NEW_YORK),
        "2026-11-02T06:30:00Z"
    );
}

#[test]
fn clocks_that_change_around_midnight_lose_no_day() {
    // Forward from 23:30 to 00:30, so that 23:45 is due the next day; back from 00:30 to 23:30, so
    // that a day comes back.
    let forward = "AAA0BBB,M3.5.0/23:30,M10.5.0/3";
    let schedule = [time(23, 45, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-03-29T23:40:00Z", forward),
        "2026-03-29T23:45:00Z"
    );
    let back = "AAA0BBB,M3.5.0/2,M10.5.0/0:30";
    let schedule = [time(0, 10, 0, 0)];
    assert_eq!(
        due(&schedule, "2026-10-24T23:20:00Z", back),
        "2026-10-26T00:10:00Z"
    );
}

#[test]
fn the_end_of_the_calendar_is_no_panic() {
    let last = date(9999, 12, 31).at(12, 0, 0, 0);
    for zone in [TimeZone::UTC, TimeZone::fixed(Offset::constant(14))] {
        // jiff's timestamps end a day before its dates do.
        let after = last.to_zoned(zone.clone());
        let after = after.unwrap_or_else(|_| Timestamp::MAX.to_zoned(zone));
        assert_eq!(next_due(&[time(0, 0, 0, 0)], &after), None);
    }
}
