//! Incidents that look like stranded Pings and are not (iis-recycling.md, section 8): "not this
//! bug" is an answer.

mod answers;
mod pings;
#[cfg(test)]
mod tests;

use super::*;

/// Another incident that the figures speak for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LookAlike {
    /// What it is.
    pub(super) name: &'static str,
    /// By which figures.
    pub(super) evidence: String,
    /// Whether it explains a service that gets worse, and does not follow from stranded requests. Otherwise it is named
    /// only.
    pub(super) explains: bool,
}

impl LookAlike {
    /// As a figure of a check.
    pub(super) fn told(&self) -> String {
        format!("{}: {}", self.name, self.evidence)
    }
}

/// Fewer answers of a kind are no pattern.
const MIN_ANSWERS: u64 = 10;
/// Nor is a smaller share of all answers.
const MIN_SHARE: f64 = 0.01;

/// Answers of a kind before the recycle.
struct Answers {
    count: u64,
    /// Their share of all answers.
    share: f64,
    /// Whether the share rises in aging by the factor of the symptom.
    rises: bool,
}

impl Answers {
    fn is_pattern(&self) -> bool {
        self.count >= MIN_ANSWERS && self.share >= MIN_SHARE
    }
}

fn total(intervals: &[&Interval], counter: Counter) -> u64 {
    intervals.iter().map(|one| one.count(counter)).sum()
}

impl RunData<'_> {
    /// Those that the phases before the recycle speak for.
    pub(super) fn look_alikes(&self) -> Vec<LookAlike> {
        [
            self.own_limits(),
            self.timeout_in_between(),
            self.busy_pool(),
            self.slow_mailbox(),
            self.no_affinity(),
            self.web_pages(),
            self.refused_logins(),
            self.rate_limit(),
            self.few_slow_mailboxes(),
            self.early_answers(),
            self.no_news(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The intervals before the recycle whose figures are the server's usual ones, or those of its aging.
    fn before_recycle_phase(&self) -> Vec<&Interval> {
        let kinds = [PhaseKind::Baseline, PhaseKind::Aging, PhaseKind::Hold];
        let is_before = |one: &&Interval| kinds.iter().any(|kind| one.phase == kind.as_str());
        self.intervals.iter().filter(is_before).collect()
    }

    /// Answers that are counted by the largest of these counters: one answer may be counted by several.
    fn answers(&self, counters: &[Counter]) -> Answers {
        let count = |intervals: &[&Interval]| {
            let counts = counters.iter().map(|counter| total(intervals, *counter));
            counts.max().unwrap_or(0)
        };
        let share = |intervals: &[&Interval]| {
            count(intervals) as f64 / total(intervals, Counter::Answers).max(1) as f64
        };
        let all = self.before_recycle_phase();
        let baseline = share(&self.of(PhaseKind::Baseline));
        let aged = share(&self.of(PhaseKind::Aging));
        Answers {
            count: count(&all),
            share: share(&all),
            rises: aged > baseline * self.plan.checks.symptom_factor,
        }
    }

    /// This machine has no port or descriptor left: the server never saw those connections.
    fn own_limits(&self) -> Option<LookAlike> {
        let count: u64 = self
            .intervals
            .iter()
            .map(|interval| interval.count(Counter::OwnLimits))
            .sum();
        (count > 0).then(|| LookAlike {
            explains: true,
            name: "this machine ran out of ports or descriptors",
            evidence: format!(
                "{count} connections failed for want of a port or descriptor on this machine, not on \
                 the server"
            ),
        })
    }

    /// KB 2711053: a pool at 100 % of the processor, Active Requests flat.
    fn busy_pool(&self) -> Option<LookAlike> {
        const BUSY: f64 = 0.9;
        let aged = median(&self.gauges(PhaseKind::Aging, gauge::CPU))?;
        let before = median(&self.gauges(PhaseKind::Baseline, gauge::CPU)).unwrap_or(0.0);
        (aged >= BUSY && before < BUSY).then(|| LookAlike {
            explains: true,
            name: "the server is short of processor time (as in KB 2711053)",
            evidence: format!(
                "processor of the server {:.0} % → {:.0} %, and Active Requests do not gather",
                before * 100.0,
                aged * 100.0
            ),
        })
    }

    /// KB 2469722: the mailbox server is slow, and requests queue behind it.
    fn slow_mailbox(&self) -> Option<LookAlike> {
        /// So much slower than in the baseline, and slow at all.
        const FACTOR: f64 = 3.0;
        const SLOW: f64 = 0.2;
        let aged = median(&self.gauges(PhaseKind::Aging, gauge::MAILBOX))?;
        let before = median(&self.gauges(PhaseKind::Baseline, gauge::MAILBOX)).unwrap_or(0.0);
        (aged >= SLOW && aged >= FACTOR * before).then(|| LookAlike {
            explains: true,
            name: "the mailbox server is slow (as in KB 2469722)",
            evidence: format!(
                "the front end waits {:.0} ms → {:.0} ms to find a mailbox server",
                before * 1e3,
                aged * 1e3
            ),
        })
    }
}
