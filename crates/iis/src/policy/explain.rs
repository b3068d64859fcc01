//! When a pool recycles, and what a recycle does, in plain words.

use std::time::Duration;

use jiff::{ToSpan as _, Zoned};
use text::format_duration;

use super::time_text;
use crate::{PoolSettings, next_due};

/// Sentences that say when the pool recycles and what then happens.
#[must_use]
pub fn explain(settings: &PoolSettings) -> Vec<String> {
    let recycling = &settings.recycling;
    let mut when = Vec::new();
    if !recycling.time.is_zero() {
        when.push(format!(
            "when the worker is {} old",
            format_duration(recycling.time)
        ));
    }
    if !recycling.schedule.is_empty() {
        let times: Vec<String> = recycling.schedule.iter().map(time_text).collect();
        when.push(format!("every day at {} local time", times.join(", ")));
    }
    if recycling.requests > 0 {
        when.push(format!("after {} requests", recycling.requests));
    }
    if recycling.private_memory_kb > 0 {
        when.push(format!(
            "when its private memory reaches {}",
            memory(recycling.private_memory_kb)
        ));
    }
    if recycling.memory_kb > 0 {
        when.push(format!(
            "when its virtual memory reaches {}",
            memory(recycling.memory_kb)
        ));
    }
    let mut sentences = vec![if when.is_empty() {
        "Nothing recycles the pool by itself; an administrator can, and a change of its configuration \
         does unless that is forbidden."
            .to_owned()
    } else {
        format!("The pool is recycled {}.", when.join(", and "))
    }];
    let limit = format_duration(settings.process_model.shutdown_time_limit);
    sentences.push(if recycling.disallow_overlapping_rotation {
        format!(
            "A recycle first ends the old worker, which may take until it is killed after {limit}, and \
             then starts a new one; meanwhile up to {} requests wait in HTTP.sys, and more are refused \
             with 503.",
            settings.queue_length
        )
    } else {
        format!(
            "A recycle first starts a new worker, which takes all new requests; the old one may finish \
             what it has and is killed after {limit}. With a single stranded Ping it always comes to \
             that, because a stranded Ping never finishes."
        )
    });
    sentences.push(format!(
        "Pings that have more than {limit} of their heartbeat left are cut then: of those with a \
         heartbeat of 8 minutes about {} in 100, of those with 59 minutes about {}. Their devices \
         connect anew at once.",
        cut_share(settings.process_model.shutdown_time_limit, 470),
        cut_share(settings.process_model.shutdown_time_limit, 3540),
    ));
    sentences
}

/// Percent of held Pings that a recycle cuts, when their beginnings are spread evenly.
pub(super) fn cut_share(limit: Duration, heartbeat: u32) -> u64 {
    let left = 1.0 - limit.as_secs_f64() / f64::from(heartbeat);
    (left.max(0.0) * 100.0).round() as u64
}

/// Kilobytes for people.
pub(super) fn memory(kilobytes: u64) -> String {
    let bytes = kilobytes as f64 * 1024.0;
    match kilobytes {
        0..1024 => format!("{kilobytes} KiB"),
        1024..1_048_576 => format!("{:.0} MiB", bytes / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes / 1_073_741_824.0),
    }
}

/// The next moments at which a worker that started at `started` is recycled by time or schedule, as
/// seen from `now`; at most `count`, with the setting that causes each.
#[must_use]
pub fn next_times(
    settings: &PoolSettings,
    started: &Zoned,
    now: &Zoned,
    count: usize,
) -> Vec<(Zoned, &'static str)> {
    let mut times = Vec::new();
    let (mut started, mut now) = (started.clone(), now.clone());
    while times.len() < count {
        let by_age = age_limit(settings, &started);
        // A worker that is older than its limit should have been recycled already.
        let by_age = by_age.map(|due| if due < now { now.clone() } else { due });
        let by_schedule = next_due(&settings.recycling.schedule, &now);
        let next = match (by_age, by_schedule) {
            (Some(age), Some(schedule)) if age < schedule => (age, "time"),
            (_, Some(schedule)) => (schedule, "schedule"),
            (Some(age), None) => (age, "time"),
            (None, None) => break,
        };
        started = next.0.clone();
        now = next.0.clone();
        times.push(next);
    }
    times
}

fn age_limit(settings: &PoolSettings, started: &Zoned) -> Option<Zoned> {
    let seconds = i64::try_from(settings.recycling.time.as_secs()).ok()?;
    (seconds > 0)
        .then(|| started.checked_add(seconds.seconds()).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    #[test]
    fn interval_and_schedule_take_turns() {
        let mut settings = PoolSettings::exchange_2016();
        let started: Zoned = "2026-03-14T20:00:00+00:00[UTC]".parse().unwrap();
        assert_eq!(next_times(&settings, &started, &started, 3), []);
        settings.recycling.time = Duration::from_secs(10 * 3600);
        settings.recycling.schedule = vec![time(3, 0, 0, 0)];
        let times = next_times(&settings, &started, &started, 3);
        let shown: Vec<String> = times
            .iter()
            .map(|(at, why)| format!("{} {why}", at.strftime("%d %H:%M")))
            .collect();
        // The schedule comes first, and a new worker's age begins with it.
        assert_eq!(
            shown,
            ["15 03:00 schedule", "15 13:00 time", "15 23:00 time"]
        );
    }

    #[test]
    fn the_share_of_pings_that_are_cut() {
        assert_eq!(cut_share(Duration::from_secs(90), 470), 81);
        assert_eq!(cut_share(Duration::from_secs(90), 3540), 97);
        assert_eq!(cut_share(Duration::from_secs(600), 470), 0);
    }

    #[test]
    fn what_exchange_ships_is_never_recycled() {
        let text = explain(&PoolSettings::exchange_2016()).join(" ");
        assert!(text.starts_with("Nothing recycles the pool"), "{text}");
        assert!(
            text.contains("killed after 1m30s") || text.contains("killed after 90s"),
            "{text}"
        );
    }
}
