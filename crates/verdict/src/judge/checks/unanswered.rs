//! What no latency tells of: requests that fail, devices that hang in a Sync, mails that wait.

use super::*;

/// Devices that hang in a Sync, or wait for mail, as a share of all: from then on users notice.
pub(super) const NOTICED: f64 = 0.05;

/// Requests that had no answer.
const UNANSWERED: [Counter; 5] = [
    Counter::TimedOut,
    Counter::ConnectFailures,
    Counter::Closed,
    Counter::Resets,
    Counter::PingsOverdue,
];

fn sum(intervals: &[&Interval], counters: &[Counter]) -> u64 {
    let of_one = |counter: &Counter| {
        let counts = intervals.iter().map(|interval| interval.count(*counter));
        counts.sum::<u64>()
    };
    counters.iter().map(of_one).sum()
}

/// Requests that had an answer, or will have none.
pub(in crate::judge) fn requests(intervals: &[&Interval]) -> u64 {
    sum(intervals, &UNANSWERED) + sum(intervals, &[Counter::Answers])
}

/// Requests that had no good answer: what a device calls "cannot connect", whoever says so.
fn bad(intervals: &[&Interval]) -> u64 {
    let wrong = [Counter::HttpErrors, Counter::Malformed, Counter::Statuses];
    sum(intervals, &UNANSWERED) + sum(intervals, &wrong)
}

/// Share of requests that had no good answer.
pub(in crate::judge) fn failing(intervals: &[&Interval]) -> f64 {
    bad(intervals) as f64 / requests(intervals).max(1) as f64
}

/// Requests that had no good answer, and all, of each interval.
pub(in crate::judge) fn failing_each(intervals: &[&Interval]) -> Vec<(f64, f64)> {
    let of = |interval: &&Interval| {
        let one = std::slice::from_ref(interval);
        (bad(one) as f64, requests(one) as f64)
    };
    intervals.iter().map(of).collect()
}

/// How devices waited for mail in a stretch of a run.
struct Waits {
    intervals: Vec<Waited>,
    /// Devices that waited at a time, in each of them.
    levels: Vec<f64>,
    seconds: f64,
}

impl Waits {
    fn of(intervals: &[&Interval]) -> Self {
        /// A clock that is read a little late is no gap.
        const LATE: f64 = 0.5;
        // A phase may be played twice, with others in between.
        let is_next = |pair: &&[&Interval]| (pair[1].t - pair[0].t - pair[1].seconds).abs() < LATE;
        let mut waits = Self {
            intervals: Vec::new(),
            levels: Vec::new(),
            seconds: 0.0,
        };
        for pair in intervals.windows(2).filter(is_next) {
            let (before, after) = (pair[0].ledger, pair[1].ledger);
            let seconds = |after: u64, before: u64| after.saturating_sub(before) as f64 / 1e3;
            waits.intervals.push(Waited {
                seconds: seconds(after.mail_ms, before.mail_ms),
                mails: after.came_due.saturating_sub(before.came_due) as f64,
            });
            let devices = seconds(after.device_ms, before.device_ms);
            waits.levels.push(devices / pair[1].seconds);
            waits.seconds += pair[1].seconds;
        }
        waits
    }

    fn mails(&self) -> f64 {
        self.intervals.iter().map(|one| one.mails).sum()
    }

    /// Devices that waited at a time, half of the time at least.
    fn level(&self) -> f64 {
        median(&self.levels).unwrap_or(0.0)
    }
}

impl RunData<'_> {
    /// Devices that wait for a Sync: above the limit if users notice, and if they are more than `factor` times as
    /// many as before.
    pub(super) fn hanging(
        &self,
        before: &[&Interval],
        later: &[&Interval],
        factor: f64,
    ) -> Option<Figured<'_>> {
        let of = |intervals: &[&Interval]| -> Vec<f64> {
            let levels = intervals.iter();
            levels
                .filter_map(|interval| interval.gauge("devices.syncing"))
                .collect()
        };
        let compared = compare_medians(&of(before), &of(later), Course::Level)?;
        let devices = f64::from(self.plan.devices.count);
        let (was, is) = compared.value();
        let text = format!(
            "devices that wait for a Sync {:.0} % → {:.0} %",
            was / devices * 100.0,
            is / devices * 100.0
        );
        let limit = Limit {
            unnoticed: NOTICED * devices,
            factor,
        };
        Some(figured(compared, limit, text))
    }

    /// Mails that are waited for longer than `factor` times as long as before and `slack` seconds, on more
    /// devices than before: for one that the server turns away for good they only gather. Latencies know of
    /// the mails that came; of a server that starves these are few, and the quick ones.
    pub(super) fn longer_wait(
        &self,
        before: &[&Interval],
        later: &[&Interval],
        factor: f64,
        slack: f64,
    ) -> Option<Figured<'_>> {
        let (before, later) = (Waits::of(before), Waits::of(later));
        if before.mails() < MIN_SAMPLES as f64 {
            return None;
        }
        let compared = compare_waits(&before.intervals, &later.intervals)?;
        let (was, is) = compared.value();
        let devices = f64::from(self.plan.devices.count);
        /// By how much more devices must wait.
        const MORE: f64 = 1.2;
        // Half of the time, so that a backlog that is worked off does not count.
        let least = f64::max(NOTICED * devices, MORE * before.level());
        if later.level() <= least || is - factor * was <= slack {
            return None;
        }
        let side = |side: &Waits| (side.level() / devices * 100.0, side.mails() / side.seconds);
        let ((waited, rate_was), (waits, rate_is)) = (side(&before), side(&later));
        /// By fewer mails a mean is none.
        const LEAST: f64 = 20.0;
        let for_each = if later.mails() < LEAST {
            String::new()
        } else {
            format!(", {was:.1} s → {is:.1} s for each")
        };
        Some(Figured {
            text: format!(
                "devices that have a network and wait for mail {waited:.0} % → {waits:.0} %{for_each}, at \
                 {rate_was:.1} arrivals/s → {rate_is:.1}/s"
            ),
            exceeds: true,
            is_within: false,
            unjudged: None,
            times_longer: compared.times_longer(factor, slack, ALARM),
            is_beyond: Box::new(move |tail| compared.lower(factor, tail) > slack),
        })
    }
}
