//! The checks, and what they share.

mod cost;
mod figured;
mod look_alikes;
mod measurement;
mod recovery;
mod recycle_seen;
mod released;
mod settled;
mod stranding;
mod symptom;
mod thresholds;
mod unanswered;
mod worsening;

use std::cell::OnceCell;

use figured::{Figured, Limit, Worse, figured};
use scenario::names::{Counter, Metric};
use scenario::{Expectation, PhaseKind, Plan, TargetPlan, Trigger};
use stranding::{Finding, Stranding};
use text::{format_duration, times, times_between, whole};
use unanswered::NOTICED;

use super::evidence::Grade;
use super::gauge;
use super::statistics::{
    ALARM, Comparison, Course, Figure, Quantile, Recorded, SHOWN, Share, Waited, compare_medians,
    compare_quantiles, compare_waits, median, noise, proven, recorded, samples_needed,
    upper_decile,
};
use super::{Check, Digest, Outcome, merged};
use crate::recycle::{FailedTrigger, Recycle};
use crate::timeline::Interval;

pub(super) use recycle_seen::recycles;
pub(super) use unanswered::{failing, failing_each, requests};
pub(super) use worsening::WORSENING_SERIES;

/// A rise of requests below this share of the devices is their coming and going, not a leak.
const MIN_RISE_SHARE: f64 = 0.05;
/// The quantiles that must be restored, where there are enough samples.
pub(super) const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];
/// The stretch after the last phase, in which devices are stopped.
const DRAIN: &str = "drain";
/// Samples that a latency needs on each side.
pub(super) const MIN_SAMPLES: u64 = 100;

/// What all checks look at.
pub(super) struct RunData<'a> {
    plan: &'a Plan,
    digest: &'a Digest,
    intervals: &'a [Interval],
    recycles: Vec<Recycle>,
    stranding: OnceCell<Stranding>,
}

impl<'a> RunData<'a> {
    pub(super) fn new(plan: &'a Plan, digest: &'a Digest) -> Self {
        Self {
            plan,
            digest,
            intervals: &digest.intervals,
            recycles: recycles(plan, digest),
            stranding: OnceCell::new(),
        }
    }

    fn of(&self, kind: PhaseKind) -> Vec<&'a Interval> {
        self.intervals
            .iter()
            .filter(|interval| interval.phase == kind.as_str())
            .collect()
    }

    fn gauges(&self, kind: PhaseKind, name: &str) -> Vec<f64> {
        self.of(kind)
            .into_iter()
            .filter_map(|interval| interval.gauge(name))
            .collect()
    }

    /// Whether all phases were played.
    fn is_complete(&self) -> bool {
        /// The last interval may be a little early.
        const MARGIN: f64 = 1.0;
        let end = self.intervals.last().map_or(0.0, |interval| interval.t);
        end + MARGIN >= self.plan.duration().as_secs_f64()
    }

    /// Recycles after the ramp, in which workers may still start.
    fn recycles(&self) -> &[Recycle] {
        &self.recycles
    }

    /// Why nothing can be said of what a recycle did, if one should have been and was not.
    fn without_recycle(&self) -> Option<&'static str> {
        let is_expected = self.plan.checks.recycle == Expectation::Expected && self.is_complete();
        let is_triggered = self.digest.failed_triggers.is_empty();
        (is_expected && is_triggered && self.recycles().is_empty())
            .then_some("no recycle was seen, so there is no effect to judge: see \"recycle seen\"")
    }

    /// The same check, or *no data* if it rests on a phase whose trigger, or an earlier phase's, had no
    /// success. What was not asked stays so.
    pub(super) fn unless_untriggered(&self, kinds: &[PhaseKind], check: Check) -> Check {
        if check.outcome == Outcome::Skipped {
            return check;
        }
        let number = |kind: &PhaseKind| {
            let phases = &self.plan.phases;
            phases.iter().rposition(|phase| phase.kind == *kind)
        };
        let last = kinds.iter().filter_map(number).max();
        let failed = &self.digest.failed_triggers;
        match failed
            .iter()
            .find(|one| last.is_some_and(|last| one.phase <= last))
        {
            None => check,
            Some(failed) => Check {
                outcome: Outcome::NoData,
                evidence: None,
                reason: format!("not judged, because {}", self.untriggered(failed)),
                ..check
            },
        }
    }

    fn untriggered(&self, failed: &FailedTrigger) -> String {
        let phase = self.plan.phases.get(failed.phase);
        let kind = phase.map_or("missing", |phase| phase.kind.as_str());
        format!("the {kind} phase was not triggered: {}", failed.problem)
    }
}

/// When the first phase of a kind begins.
fn start_of(intervals: &[Interval], kind: PhaseKind) -> Option<f64> {
    let first = intervals
        .iter()
        .position(|interval| interval.phase == kind.as_str())?;
    Some(
        first
            .checked_sub(1)
            .map_or(0.0, |before| intervals[before].t),
    )
}

fn worse_of(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Fail => 2,
        Outcome::NoData => 1,
        Outcome::Pass | Outcome::Skipped => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

pub(super) fn histograms(intervals: &[&Interval], metric: Metric) -> Vec<Recorded> {
    intervals
        .iter()
        .filter_map(|interval| Some(recorded(&interval.latency(metric)?.histogram()?)))
        .collect()
}

/// How many values intervals recorded.
fn samples(recorded: &[Recorded]) -> u64 {
    recorded.iter().flatten().map(|(_, times)| times).sum()
}

/// Microseconds for people.
fn time(micros: f64) -> String {
    match micros {
        ..1_000.0 => format!("{micros:.0} µs"),
        ..1_000_000.0 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// A check without its outcome.
struct Draft<'n> {
    name: &'n str,
    figures: Vec<String>,
    evidence: Option<Grade>,
}

impl<'n> Draft<'n> {
    const fn new(name: &'n str) -> Self {
        Self {
            name,
            figures: Vec::new(),
            evidence: None,
        }
    }

    /// With the evidence that the outcome rests on.
    fn on(mut self, grade: Grade) -> Self {
        self.evidence = Some(grade);
        self
    }

    fn figures(mut self, figures: Vec<String>) -> Self {
        self.figures = figures;
        self
    }

    fn done(self, outcome: Outcome, reason: impl Into<String>) -> Check {
        Check {
            name: self.name.to_owned(),
            outcome,
            reason: reason.into(),
            evidence: self.evidence,
            figures: self.figures,
        }
    }

    fn pass(self, reason: impl Into<String>) -> Check {
        self.done(Outcome::Pass, reason)
    }

    fn fail(self, reason: impl Into<String>) -> Check {
        self.done(Outcome::Fail, reason)
    }

    fn no_data(self, reason: impl Into<String>) -> Check {
        self.done(Outcome::NoData, reason)
    }

    fn skip(self, reason: impl Into<String>) -> Check {
        self.done(Outcome::Skipped, reason)
    }
}
