//! Does the service get worse?

use super::*;

/// Whether the service gets worse by the plan's factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worse {
    /// It does not.
    No,
    /// It did in what was measured, perhaps by chance.
    Unproven,
    /// It does.
    Proven,
}

impl Bench<'_> {
    /// Whether Sync latency, failing requests or mails that wait are worse in a later stretch of the run by the
    /// plan's factor; `None` with too few samples.
    pub(super) fn worsening(
        &self,
        baseline: &[&Interval],
        degraded: &[&Interval],
        figures: &mut Vec<String>,
    ) -> Option<Worse> {
        let (before, after) = (failing(baseline), failing(degraded));
        /// Below one in a hundred, users do not notice.
        const MIN_FAILURES: f64 = 0.01;
        let fails = after > MIN_FAILURES && after > before * self.plan.checks.symptom_factor;
        if after > 0.0 || before > 0.0 {
            figures.push(format!(
                "requests that fail {:.1} % → {:.1} %",
                before * 100.0,
                after * 100.0
            ));
        }
        // A Sync that hangs has no latency yet.
        let (waited, waits) = (self.syncing(baseline), self.syncing(degraded));
        let hangs = waits > NOTICED && waits > waited * self.plan.checks.symptom_factor;
        if hangs {
            figures.push(format!(
                "devices that wait for a Sync {:.0} % → {:.0} %",
                waited * 100.0,
                waits * 100.0
            ));
        }
        let waits = self.longer_wait(baseline, degraded, self.plan.checks.symptom_factor, 0.0);
        let waits = waits.map(|longer| {
            figures.push(longer.text);
            if longer.is_proven {
                Worse::Proven
            } else {
                Worse::Unproven
            }
        });
        let fails = fails || hangs;
        let latencies = [
            (Metric::Sync, "Sync"),
            (Metric::Notification, "notification"),
        ];
        let slower = latencies
            .into_iter()
            .filter_map(|(metric, text)| self.slower(metric, text, baseline, degraded, figures))
            .max();
        if fails {
            Some(Worse::Proven)
        } else {
            slower.max(waits)
        }
    }

    /// Whether a latency's p95 has grown by the plan's factor, and not by chance; `None` with too few
    /// samples.
    fn slower(
        &self,
        metric: Metric,
        text: &str,
        baseline: &[&Interval],
        degraded: &[&Interval],
        figures: &mut Vec<String>,
    ) -> Option<Worse> {
        /// A p95 has one sample beyond it. A server that starves answers few.
        const LEAST: u64 = 20;
        let count = |intervals: &[&Interval]| merged(intervals.iter().copied(), metric).len();
        if count(baseline) < MIN_SAMPLES || count(degraded) < LEAST {
            return None;
        }
        let [compared] = compare_quantiles(
            &histograms(baseline, metric),
            &histograms(degraded, metric),
            [0.95],
            &mut Xoshiro256PlusPlus::seed_from_u64(self.seed),
        )?;
        let ratio = compared.ratio();
        figures.push(format!(
            "{text} p95 {} → {}, {} (95 % interval {} to {})",
            time(compared.value.0),
            time(compared.value.1),
            times(ratio.value),
            times(ratio.low),
            times(ratio.high)
        ));
        Some(if ratio.value < self.plan.checks.symptom_factor {
            Worse::No
        } else if ratio.low > 1.0 {
            Worse::Proven
        } else {
            Worse::Unproven
        })
    }
}
