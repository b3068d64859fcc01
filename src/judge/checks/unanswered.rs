//! What no latency tells of: requests that fail, devices that hang in a Sync, mails that wait.

use super::*;

/// Devices that hang in a Sync, or mails due on them, as a share of the devices: from then on users
/// notice.
pub(super) const NOTICED: f64 = 0.05;
/// Samples of a server that may be starved: it answers few, and a p95 has one beyond it.
pub(super) const FEWEST: u64 = 20;

/// Share of requests that had no good answer: what a device calls "cannot connect", whoever says so.
pub(in crate::judge) fn failing(intervals: &[&Interval]) -> f64 {
    let sum = |counters: &[Counter]| -> u64 {
        let of_one = |counter: &Counter| {
            intervals
                .iter()
                .map(|interval| interval.count(*counter))
                .sum::<u64>()
        };
        counters.iter().map(of_one).sum()
    };
    let unanswered = sum(&[
        Counter::TimedOut,
        Counter::ConnectFailures,
        Counter::Closed,
        Counter::Resets,
        Counter::PingsOverdue,
    ]);
    let bad = unanswered + sum(&[Counter::HttpErrors, Counter::Malformed, Counter::Statuses]);
    bad as f64 / (unanswered + sum(&[Counter::Answers])).max(1) as f64
}

/// Mails that were waited for in a stretch of a run.
struct Waits {
    intervals: Vec<Waited>,
    /// Mails that were waited for at a time, in each of them.
    levels: Vec<f64>,
    /// Mails that were waited for at its end.
    due: f64,
}

impl Waits {
    fn of(intervals: &[&Interval]) -> Self {
        let between = |pair: &[&Interval]| {
            let (before, after) = (pair[0].ledger, pair[1].ledger);
            let waited_ms = after.waited_ms.saturating_sub(before.waited_ms);
            let waited = Waited {
                seconds: waited_ms as f64 / 1e3,
                arrived: after.synced.saturating_sub(before.synced) as f64,
            };
            (
                waited,
                waited.seconds / (pair[1].t - pair[0].t).max(f64::EPSILON),
            )
        };
        // A phase may be played twice, with others in between.
        let is_next = |pair: &&[&Interval]| pair[1].t - pair[0].t < 2.0 * pair[1].seconds;
        let pairs = intervals.windows(2).filter(is_next);
        let (waited, levels) = pairs.map(between).unzip();
        let last = intervals.last();
        Self {
            intervals: waited,
            levels,
            due: last.map_or(0.0, |last| last.ledger.due as f64),
        }
    }

    /// Mails that came, and those that were still to come.
    fn mails(&self) -> f64 {
        self.due + self.intervals.iter().map(|one| one.arrived).sum::<f64>()
    }
}

/// Mails that wait longer than before.
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

    /// Mails that wait longer than `factor` times as long as before and `slack` seconds. Latencies know of
    /// the mails that came; of a server that starves these are few, and the quick ones.
    pub(super) fn mails_wait(
        &self,
        before: &[&Interval],
        later: &[&Interval],
        factor: f64,
        slack: f64,
    ) -> Option<LongerWait> {
        let (before, later) = (Waits::of(before), Waits::of(later));
        if before.mails() < MIN_SAMPLES as f64 || later.mails() < FEWEST as f64 {
            return None;
        }
        // Half of the time, so that a backlog that is worked off does not count.
        let level = median(&later.levels)?;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let compared = compare_waits(&before.intervals, &later.intervals, &mut random)?;
        let longer = compared.difference(factor);
        if level <= NOTICED * f64::from(self.plan.devices.count) || longer.value <= slack {
            return None;
        }
        let is_proven = longer.low > slack;
        let usual = median(&before.levels).unwrap_or(0.0);
        let (was, is) = compared.value;
        Some(LongerWait {
            is_proven,
            text: format!(
                "a mail waits {was:.1} s → {is:.1} s on devices that have a network, where {usual:.0} → \
                 {level:.0} are due at a time{}",
                if is_proven {
                    ""
                } else {
                    " ← perhaps by chance"
                }
            ),
        })
    }
}
