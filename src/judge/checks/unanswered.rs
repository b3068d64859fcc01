//! What no latency tells of: requests that fail, devices that hang in a Sync, mails that wait.

use super::*;

/// Devices that hang in a Sync, or mails due on them, as a share of the devices: from then on users
/// notice.
pub(super) const NOTICED: f64 = 0.05;

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

/// Arrivals of accepted mails that became due, per second; `None` without time.
fn arrivals(intervals: &[&Interval]) -> Option<f64> {
    let (first, last) = (intervals.first()?, intervals.last()?);
    let all = |interval: &Interval| interval.ledger.synced + interval.ledger.outstanding;
    let seconds = last.t - first.t;
    (seconds > 0.0).then(|| all(last).saturating_sub(all(first)) as f64 / seconds)
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

    /// Mails that wait longer by that factor, and not by chance, in words. Latencies know of the mails
    /// that came; of a server that starves these are few, and the quick ones.
    pub(super) fn mails_wait(
        &self,
        baseline: &[&Interval],
        later: &[&Interval],
        factor: f64,
    ) -> Option<String> {
        let due = |intervals: &[&Interval]| -> Vec<f64> {
            let levels = intervals.iter();
            levels
                .filter_map(|interval| interval.gauge(MAILS_DUE))
                .collect()
        };
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let compared = compare_medians(&due(baseline), &due(later), &mut random)?;
        let (rate_before, rate_after) = (arrivals(baseline)?, arrivals(later)?);
        if rate_before <= 0.0 {
            return None;
        }
        // Little's law: a level by its rate is a wait. More mails are no longer wait.
        let allowed = factor * rate_after / rate_before;
        let (before, after) = compared.value;
        let waits = after > NOTICED * f64::from(self.plan.devices.count)
            && compared.difference(allowed).low > 0.0;
        waits.then(|| {
            format!(
                "mails due on devices that have a network {before:.0} → {after:.0}, at {rate_before:.1}/s \
                 → {rate_after:.1}/s"
            )
        })
    }
}
