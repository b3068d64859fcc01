//! Had the baseline settled? A baseline in which devices still start, or still read their Inboxes, is no yardstick.

use hdrhistogram::Histogram;

use super::*;

impl RunData<'_> {
    /// What had not settled in the baseline.
    pub(super) fn unsettled(&self) -> Option<String> {
        self.still_starting()
            .or_else(|| self.still_reading())
            .or_else(|| self.getting_quicker())
    }

    /// The same answer, but no pass by comparison with a baseline that had not settled.
    pub(in crate::judge) fn unless_unsettled(&self, check: Check) -> Check {
        if check.outcome != Outcome::Pass {
            return check;
        }
        match self.unsettled() {
            None => check,
            Some(why) => Check {
                outcome: Outcome::NoData,
                reason: format!(
                    "the baseline had not settled, so there is nothing to compare with: {why}; lengthen the ramp, or add a \
                     settle phase before the baseline"
                ),
                ..check
            },
        }
    }

    /// Devices that have not waited for changes yet.
    fn still_starting(&self) -> Option<String> {
        let devices = f64::from(self.plan.devices.count);
        let levels = |state| self.gauges(PhaseKind::Baseline, state);
        let (starting, off) = (levels("devices.starting"), levels("devices.off"));
        let both: Vec<f64> = starting.iter().zip(&off).map(|(a, b)| a + b).collect();
        let level = median(&both)?;
        (level > NOTICED * devices).then(|| {
            format!("{level:.0} of {devices:.0} devices were still starting for half of it")
        })
    }

    /// Items that are no mail of this run. Where users act there are some in every phase, and the Inboxes of before are
    /// read once.
    fn still_reading(&self) -> Option<String> {
        /// By how much the baseline has more of them in a second.
        const MORE: f64 = 3.0;
        let others = |kind: PhaseKind| {
            let phase = self.of(kind);
            let seconds: f64 = phase.iter().map(|one| one.seconds).sum();
            let items: u64 = phase.iter().map(|one| one.count(Counter::Items)).sum();
            let begin = start_of(self.intervals, kind)?;
            let before = self.intervals.iter().rfind(|one| one.t <= begin);
            let before = before.map_or(0, |one| one.ledger.synced + one.ledger.duplicates);
            let last = phase.last()?.ledger;
            let own = (last.synced + last.duplicates).saturating_sub(before);
            Some((items.saturating_sub(own) as f64, seconds))
        };
        let (items, seconds) = others(PhaseKind::Baseline)?;
        let (later, later_seconds) = others(PhaseKind::Recovered)?;
        let least = f64::max(NOTICED * f64::from(self.plan.devices.count), 10.0);
        let is_more = items / seconds > MORE * later / later_seconds.max(1.0);
        (items >= least && is_more).then(|| {
            format!(
                "devices read {items:.0} items in it that are no mail of this run, as when Inboxes are read for the first \
                 time"
            )
        })
    }

    /// The first half of the baseline would fail if it were compared with the second, as `restored` does.
    fn getting_quicker(&self) -> Option<String> {
        /// Fewer intervals have no first quarter that is longer than a stall.
        const LEAST: usize = 8;
        const P95: f64 = 0.95;
        let baseline = self.of(PhaseKind::Baseline);
        let (first, second) = baseline.split_at(baseline.len() / 2);
        let whole = |part: &[&Interval]| merged(part.iter().copied(), Metric::Sync);
        let (begins, ends) = (whole(first), whole(second));
        if baseline.len() < LEAST || begins.len().min(ends.len()) < MIN_SAMPLES {
            return None;
        }
        let (tolerance, slack) = (
            self.plan.checks.tolerance,
            self.plan.checks.slack.as_micros() as f64,
        );
        let at = |part: &Histogram<u64>| part.value_at_quantile(P95) as f64;
        let (early, late) = (at(&begins), at(&ends));
        let bound = tolerance * late + slack;
        // One slow stretch is one event, and no interval proves anything from it. But the baseline had not settled where a
        // quarter of the Syncs are slower than the slow ones of the second half may be, in most intervals of its first
        // quarter. A single stall is shorter.
        let quarter = &first[..first.len() / 2];
        let is_slow = |one: &&&Interval| {
            let syncs = whole(std::slice::from_ref(*one));
            !syncs.is_empty() && syncs.value_at_quantile(0.75) as f64 > bound
        };
        let slow = quarter.iter().filter(is_slow).count();
        let begins_slow = 2 * slow > quarter.len() && early > bound;
        let is_quicker = || {
            let of = |part| histograms(part, Metric::Sync);
            let compared = compare_quantiles(&of(second), &of(first), [P95], Course::Level);
            compared.is_some_and(|[compared]| compared.lower(tolerance, ALARM) > slack)
        };
        (begins_slow || is_quicker()).then(|| {
            format!(
                "the p95 of Sync fell from {} in its first half to {} in its second",
                time(early),
                time(late)
            )
        })
    }
}
