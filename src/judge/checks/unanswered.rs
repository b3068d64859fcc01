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

/// Share of requests that had no good answer: what a device calls "cannot connect", whoever says so.
pub(in crate::judge) fn failing(intervals: &[&Interval]) -> f64 {
    let wrong = [Counter::HttpErrors, Counter::Malformed, Counter::Statuses];
    let bad = sum(intervals, &UNANSWERED) + sum(intervals, &wrong);
    bad as f64 / requests(intervals).max(1) as f64
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

/// Devices that wait longer for mail than before.
pub(super) struct LongerWait {
    /// It is not by chance.
    pub(super) is_proven: bool,
    /// In words.
    pub(super) text: String,
}

impl Bench<'_> {
    /// Share of the devices that wait for a Sync.
    pub(super) fn syncing(&self, intervals: &[&Interval]) -> f64 {
        let values: Vec<f64> = intervals
            .iter()
            .filter_map(|interval| interval.gauge("devices.syncing"))
            .collect();
        median(&values).unwrap_or(0.0) / f64::from(self.plan.devices.count)
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
    ) -> Option<LongerWait> {
        let (before, later) = (Waits::of(before), Waits::of(later));
        if before.mails() < MIN_SAMPLES as f64 {
            return None;
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let compared = compare_waits(&before.intervals, &later.intervals, &mut random)?;
        let longer = compared.difference(factor);
        let devices = f64::from(self.plan.devices.count);
        /// By how much more devices must wait.
        const MORE: f64 = 1.2;
        // Half of the time, so that a backlog that is worked off does not count.
        let least = f64::max(NOTICED * devices, MORE * before.level());
        if later.level() <= least || longer.value <= slack {
            return None;
        }
        let is_proven = longer.low > slack;
        let side = |side: &Waits| (side.level() / devices * 100.0, side.mails() / side.seconds);
        let ((was, rate_was), (is, rate_is)) = (side(&before), side(&later));
        /// By fewer mails a mean is none.
        const LEAST: f64 = 20.0;
        let for_each = if later.mails() < LEAST {
            String::new()
        } else {
            let (before, after) = compared.value;
            format!(", {before:.1} s → {after:.1} s for each")
        };
        Some(LongerWait {
            is_proven,
            text: format!(
                "devices that have a network and wait for mail {was:.0} % → {is:.0} %{for_each}, at \
                 {rate_was:.1} arrivals/s → {rate_is:.1}/s{}",
                if is_proven {
                    ""
                } else {
                    " ← perhaps by chance"
                }
            ),
        })
    }
}
