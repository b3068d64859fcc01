//! Local times of a log → UTC.
//!
//! The heading has the bias of the moment at which the log began. If the clock is changed while the log
//! goes on, its times go back or forward by an hour and the heading stays as it is.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use scenario::names::Gauges;

/// A row with the local time of its server.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) line: usize,
    pub(super) time: DateTime,
    pub(super) gauges: Gauges,
}

/// Minutes by which summer time differs.
const HOUR: i32 = 60;
/// Seconds by which summer time differs.
const HOUR_SECONDS: f64 = 3600.0;
/// A row that comes this many steps after a change of the clock belongs to it: rows come a little early or late.
const STEPS_FORWARD: f64 = 1.5;
/// Times that go back have no other cause in one file than the clock, so one row may be missing.
const STEPS_BACK: f64 = 2.0;

/// The rows of one file with times in UTC, in its order, and a remark for each change of the clock.
/// `bias` is what the first row's time needs to become UTC, in minutes.
pub(super) fn to_utc(rows: Vec<Local>, bias: i32) -> (Vec<(Timestamp, Gauges)>, Vec<String>) {
    let step = usual_step(&rows);
    let mut shift = 0;
    let mut before: Option<DateTime> = None;
    let mut read = Vec::new();
    let mut remarks = Vec::new();
    for row in rows {
        if let (Some(before), Some(step)) = (before, step)
            && let Some((change, word)) = change(seconds(before, row.time), step)
            && (-HOUR..=HOUR).contains(&(shift + change))
        {
            shift += change;
            remarks.push(format!(
                "line {}: the times go {word} by an hour, which counts as a change of the clock; from here \
                 on {} minutes are added to get UTC",
                row.line,
                bias + shift
            ));
        }
        before = Some(row.time);
        let offset = Offset::from_seconds(-(bias + shift).saturating_mul(60)).ok();
        let at = offset.and_then(|offset| offset.to_timestamp(row.time).ok());
        if let Some(at) = at {
            read.push((at, row.gauges));
        }
    }
    (read, remarks)
}

/// What the bias changes by between two rows, and which way the clock went.
fn change(delta: f64, step: f64) -> Option<(i32, &'static str)> {
    let after = |delta: f64, steps: f64| delta > 0.0 && delta <= steps * step;
    if delta <= 0.0 && after(delta + HOUR_SECONDS, STEPS_BACK) {
        Some((HOUR, "back"))
    } else if delta > STEPS_BACK * step && after(delta - HOUR_SECONDS, STEPS_FORWARD) {
        Some((-HOUR, "forward"))
    } else {
        None
    }
}

/// The median time between two rows, of those in order.
fn usual_step(rows: &[Local]) -> Option<f64> {
    let pairs = rows.windows(2);
    let steps = pairs.map(|pair| seconds(pair[0].time, pair[1].time));
    let mut steps: Vec<f64> = steps.filter(|step| *step > 0.0).collect();
    steps.sort_by(f64::total_cmp);
    steps.get(steps.len() / 2).copied()
}

fn seconds(from: DateTime, to: DateTime) -> f64 {
    to.duration_since(from).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(times: &[&str]) -> Vec<Local> {
        let rows = times.iter().enumerate();
        rows.map(|(at, time)| Local {
            line: at + 2,
            time: time.parse().unwrap(),
            gauges: Gauges::new(),
        })
        .collect()
    }

    fn utc(times: &[&str], bias: i32) -> (Vec<String>, usize) {
        let (rows, remarks) = to_utc(rows(times), bias);
        let times = rows.iter().map(|(at, _)| at.to_string());
        (times.collect(), remarks.len())
    }

    #[test]
    fn a_clock_that_is_put_back_is_followed() {
        let (times, remarks) = utc(
            &[
                "2026-10-25T02:59:30",
                "2026-10-25T02:59:45",
                "2026-10-25T02:00:00",
                "2026-10-25T02:00:15",
                "2026-10-25T02:59:45",
            ],
            -120,
        );
        assert_eq!(
            times,
            [
                "2026-10-25T00:59:30Z",
                "2026-10-25T00:59:45Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:00:15Z",
                "2026-10-25T01:59:45Z",
            ]
        );
        assert_eq!(remarks, 1);
    }

    #[test]
    fn a_clock_that_is_put_forward_is_followed() {
        let (times, remarks) = utc(
            &[
                "2026-03-29T01:59:30",
                "2026-03-29T01:59:45",
                "2026-03-29T03:00:00",
                "2026-03-29T03:00:15",
            ],
            -60,
        );
        assert_eq!(
            times,
            [
                "2026-03-29T00:59:30Z",
                "2026-03-29T00:59:45Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:00:15Z",
            ]
        );
        assert_eq!(remarks, 1);
    }

    #[test]
    fn gaps_and_files_in_another_order_are_no_change_of_the_clock() {
        for times in [
            // An hour and a half is missing.
            ["01:00:00", "01:00:15", "02:30:30", "02:30:45"],
            // An hour and two rows are missing.
            ["01:00:00", "01:00:15", "02:01:00", "02:01:15"],
            // relog put a later file first.
            ["05:00:00", "05:00:15", "01:00:00", "01:00:15"],
            // A row every hour.
            ["01:00:00", "02:00:00", "03:00:00", "04:00:00"],
        ] {
            let times = times.map(|time| format!("2026-03-14T{time}"));
            let texts: Vec<&str> = times.iter().map(String::as_str).collect();
            let (found, remarks) = utc(&texts, 0);
            let expected: Vec<String> = times.iter().map(|time| format!("{time}Z")).collect();
            assert_eq!((found, remarks), (expected, 0));
        }
    }
}
