//! The six checks.

use hdrhistogram::Histogram;
use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::statistics::{bootstrap_quantile_difference, median, theil_sen};
use super::{Check, Outcome, merged};
use crate::measure::{Counter, Interval, Metric};
use crate::recycle::{self, Seen};
use crate::scenario::{Expectation, PhaseKind, Plan, Trigger, format_duration};

/// Names of the gauges that the checks read.
mod gauge {
    pub(super) const STRANDED: &str = "stranded";
    pub(super) const ACTIVE: &str = "server.active_requests";
    pub(super) const CLOSE_WAIT: &str = "tcp.outgoing.close_wait";
    pub(super) const MEMORY: &str = "server.private_bytes";
    pub(super) const GC: &str = "server.gc_time";
}

/// A rise of Active Requests below this share of the devices is their coming and going, not a leak.
const MIN_RISE_SHARE: f64 = 0.05;
/// The quantiles that must be restored.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];
/// The stretch after the last phase, in which devices are stopped.
const DRAIN: &str = "drain";
/// Samples that a quantile needs on each side: below, p99 is just the largest value.
const MIN_SAMPLES: u64 = 100;

/// What all checks look at.
pub(super) struct Bench<'a> {
    plan: &'a Plan,
    intervals: &'a [Interval],
    seed: u64,
}

impl<'a> Bench<'a> {
    pub(super) const fn new(plan: &'a Plan, intervals: &'a [Interval], seed: u64) -> Self {
        Self {
            plan,
            intervals,
            seed,
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

    /// Did stranded requests gather, and did the service get worse?
    pub(super) fn symptom(&self) -> Check {
        let check = Draft::new("symptom");
        if self.plan.checks.symptom == Expectation::Any {
            return check.skip("the scenario does not ask for it");
        }
        let aging = self.of(PhaseKind::Aging);
        let mut figures = Vec::new();
        let mut rises = false;
        let mut seen = false;
        for (name, text) in [
            (gauge::STRANDED, "stranded"),
            (gauge::ACTIVE, "Active Requests"),
        ] {
            let points: Vec<(f64, f64)> = aging
                .iter()
                .filter_map(|interval| Some((interval.t, interval.gauge(name)?)))
                .collect();
            let Some(slope) = theil_sen(&points) else {
                continue;
            };
            seen = true;
            let seconds = points.last().map_or(0.0, |(t, _)| *t) - points[0].0;
            let needed = MIN_RISE_SHARE * f64::from(self.plan.devices.count);
            rises |= slope.low > 0.0 && slope.estimate * seconds >= needed;
            figures.push(format!(
                "{text} {:+.1}/s in aging (95 % interval {:+.1} to {:+.1})",
                slope.estimate, slope.low, slope.high
            ));
        }
        if !seen {
            let never = self
                .intervals
                .iter()
                .all(|interval| interval.gauge(gauge::ACTIVE).is_none());
            return check.figures(figures).no_data(if never {
                "the server's Active Requests were never seen; [observe] metrics names their source"
            } else {
                "the server's Active Requests were not seen long enough in the aging phase"
            });
        }
        let worse = self.worsening(&mut figures);
        let factor = self.plan.checks.symptom_factor;
        let check = check.figures(figures);
        match (self.plan.checks.symptom, rises, worse) {
            (Expectation::Absent, true, _) => {
                check.fail("requests gather in the pool though none should strand")
            }
            (Expectation::Absent, false, _) => check.pass("nothing gathers in the pool"),
            (_, false, _) => check.no_data("not reproduced: nothing gathers in the pool"),
            (_, true, None) => {
                check.no_data("requests gather, but too few Syncs were measured to say whether it hurts")
            }
            (_, true, Some(true)) => check.pass("stranded requests gather, and the service gets worse"),
            (_, true, Some(false)) => check.no_data(format!(
                "not reproduced: requests gather, but neither Sync nor connecting got worse by {factor}"
            )),
        }
    }

    /// Whether Sync latency or connect failures in the last third of aging are worse than in the
    /// baseline by the plan's factor.
    fn worsening(&self, figures: &mut Vec<String>) -> Option<bool> {
        let aging = self.of(PhaseKind::Aging);
        let degraded = &aging[aging.len() * 2 / 3..];
        let baseline = self.of(PhaseKind::Baseline);
        let failures = |intervals: &[&Interval]| {
            let sum = |counter| {
                intervals
                    .iter()
                    .map(|interval| interval.count(counter))
                    .sum::<u64>()
            };
            let failed = sum(Counter::ConnectFailures) as f64;
            failed / (failed + sum(Counter::Connects) as f64).max(1.0)
        };
        let (before, after) = (failures(&baseline), failures(degraded));
        /// Below one in a hundred, users do not notice.
        const MIN_FAILURES: f64 = 0.01;
        let connect_worse =
            after > MIN_FAILURES && after > before * self.plan.checks.symptom_factor;
        if after > 0.0 || before > 0.0 {
            figures.push(format!(
                "connect failures {:.1} % → {:.1} %",
                before * 100.0,
                after * 100.0
            ));
        }
        let (b, d) = (
            merged(baseline.iter().copied(), Metric::Sync),
            merged(degraded.iter().copied(), Metric::Sync),
        );
        if b.len() < MIN_SAMPLES || d.len() < MIN_SAMPLES {
            return connect_worse.then_some(true);
        }
        let (b95, d95) = (
            b.value_at_quantile(0.95) as f64,
            d.value_at_quantile(0.95) as f64,
        );
        figures.push(format!(
            "Sync p95 {} → {} in the last third of aging",
            time(b95),
            time(d95)
        ));
        let per_second = |intervals: &[&Interval]| histograms(intervals, Metric::Sync);
        let difference = bootstrap_quantile_difference(
            &per_second(&baseline),
            &per_second(degraded),
            0.95,
            1.0,
            &mut Xoshiro256PlusPlus::seed_from_u64(self.seed),
        );
        let proven = difference.is_some_and(|difference| difference.low > 0.0);
        Some(connect_worse || (proven && d95 >= b95 * self.plan.checks.symptom_factor))
    }

    /// Did a recycle happen?
    pub(super) fn recycle_seen(&self) -> Check {
        let check = Draft::new("recycle seen");
        if self.plan.checks.recycle == Expectation::Any {
            return check.skip("the scenario does not ask for one");
        }
        let seen = self.recycles();
        let figures: Vec<String> = seen.iter().map(ToString::to_string).collect();
        let check = check.figures(figures);
        let can_be_seen = self.intervals.iter().any(|interval| {
            interval.gauge("server.recycles").is_some() || interval.count(Counter::PingsSent) > 0
        });
        match (self.plan.checks.recycle, seen.is_empty()) {
            (_, true) if !can_be_seen => {
                check.no_data("neither the server nor a held Ping was seen")
            }
            (Expectation::Absent, true) => check.pass("no recycle was seen, and none should be"),
            (Expectation::Absent, false) => check.fail("a recycle was seen though none should be"),
            (_, true) if !self.is_complete() => {
                check.no_data("the run ended before a recycle was due")
            }
            (_, true) => check.fail("no recycle was seen"),
            (_, false) => {
                let planned = self.plan.phase(PhaseKind::Recycle);
                let in_time = planned.is_none_or(|phase| {
                    let Some(start) = self.start_of(PhaseKind::Recycle) else {
                        return false;
                    };
                    let end = start + phase.duration.as_secs_f64();
                    /// Intervals are a second long.
                    const MARGIN: f64 = 2.0;
                    seen.iter()
                        .any(|one| (start - MARGIN..=end + MARGIN).contains(&one.t))
                });
                if in_time {
                    check.pass("a recycle was seen when it should happen")
                } else if !self.is_complete() {
                    check.no_data(
                        "the run ended before a recycle was due; what was seen was something else",
                    )
                } else {
                    check.fail("a recycle was seen, but not in the recycle phase")
                }
            }
        }
    }

    /// Whether all phases were played.
    fn is_complete(&self) -> bool {
        /// The last interval may be a little early.
        const MARGIN: f64 = 1.0;
        let end = self.intervals.last().map_or(0.0, |interval| interval.t);
        end + MARGIN >= self.plan.duration().as_secs_f64()
    }

    /// Recycles after the ramp, in which workers may still start.
    fn recycles(&self) -> Vec<Seen> {
        let start = self
            .intervals
            .iter()
            .position(|interval| interval.phase != PhaseKind::Ramp.as_str())
            .unwrap_or(self.intervals.len());
        recycle::detect(&self.intervals[start.saturating_sub(1)..])
    }

    fn start_of(&self, kind: PhaseKind) -> Option<f64> {
        let position = self
            .intervals
            .iter()
            .position(|interval| interval.phase == kind.as_str())?;
        Some(
            position
                .checked_sub(1)
                .map_or(0.0, |before| self.intervals[before].t),
        )
    }

    /// Are latencies back?
    pub(super) fn restored(&self) -> Check {
        let check = Draft::new("restored");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        let (baseline, recovered) = (self.of(PhaseKind::Baseline), self.of(PhaseKind::Recovered));
        let slack = self.plan.checks.slack.as_micros() as f64;
        let tolerance = self.plan.checks.tolerance;
        let mut figures = Vec::new();
        let (mut worst, mut judged) = (Outcome::Pass, 0);
        if let Some(figure) = self.still_failing(&baseline, &recovered) {
            figures.push(figure);
            worst = Outcome::Fail;
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        for (metric, text) in [
            (Metric::Sync, "Sync"),
            (Metric::Notification, "notification"),
        ] {
            if metric == Metric::Notification && self.plan.mail.is_none() {
                continue;
            }
            let (before, after) = (
                merged(baseline.iter().copied(), metric),
                merged(recovered.iter().copied(), metric),
            );
            if before.len() < MIN_SAMPLES || after.len() < MIN_SAMPLES {
                figures.push(format!(
                    "{text}: {} and {} samples, {MIN_SAMPLES} needed on each side",
                    before.len(),
                    after.len()
                ));
                worst = worse_of(worst, Outcome::NoData);
                continue;
            }
            let (b, a) = (
                histograms(&baseline, metric),
                histograms(&recovered, metric),
            );
            for (name, quantile) in QUANTILES {
                let Some(difference) =
                    bootstrap_quantile_difference(&b, &a, quantile, tolerance, &mut random)
                else {
                    figures.push(format!("{text} {name}: too few intervals"));
                    worst = worse_of(worst, Outcome::NoData);
                    continue;
                };
                judged += 1;
                let outcome = if difference.low > slack {
                    Outcome::Fail
                } else if difference.value <= slack {
                    Outcome::Pass
                } else {
                    Outcome::NoData
                };
                let mark = if outcome == Outcome::Pass {
                    ""
                } else {
                    " ← not within tolerance"
                };
                figures.push(format!(
                    "{text} {name} {} → {}{mark}",
                    time(before.value_at_quantile(quantile) as f64),
                    time(after.value_at_quantile(quantile) as f64),
                ));
                worst = worse_of(worst, outcome);
            }
        }
        let check = check.figures(figures);
        let bound = format!(
            "{tolerance} × baseline + {}",
            format_duration(self.plan.checks.slack)
        );
        match worst {
            Outcome::Fail => check.fail(format!("latencies are above {bound}, or requests fail")),
            Outcome::Pass if judged > 0 => check.pass(format!("latencies are within {bound}")),
            _ => check.no_data(format!(
                "cannot be told from {bound} with what was measured"
            )),
        }
    }

    /// Requests that fail, and devices that hang in a Sync, have no latency that could be bad.
    fn still_failing(&self, baseline: &[&Interval], recovered: &[&Interval]) -> Option<String> {
        /// Share of requests, or of devices; and twice the baseline's.
        const MOST: f64 = 0.05;
        let share = |intervals: &[&Interval]| {
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
            let bad =
                unanswered + sum(&[Counter::HttpErrors, Counter::Malformed, Counter::Statuses]);
            bad as f64 / (unanswered + sum(&[Counter::Answers])).max(1) as f64
        };
        let (before, after) = (share(baseline), share(recovered));
        if after > MOST && after > 2.0 * before {
            return Some(format!(
                "{:.0} % of requests fail ← {:.0} % in the baseline",
                after * 100.0,
                before * 100.0
            ));
        }
        let syncing = |intervals: &[&Interval]| {
            let values: Vec<f64> = intervals
                .iter()
                .filter_map(|interval| interval.gauge("devices.syncing"))
                .collect();
            median(&values).unwrap_or(0.0) / f64::from(self.plan.devices.count)
        };
        let (before, after) = (syncing(baseline), syncing(recovered));
        (after > MOST && after > 2.0 * before).then(|| {
            format!(
                "{:.0} % of the devices wait for a Sync ← {:.0} %",
                after * 100.0,
                before * 100.0
            )
        })
    }

    /// Has the pool let go of what it had gathered?
    pub(super) fn released(&self) -> Check {
        let check = Draft::new("released");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        let devices = f64::from(self.plan.devices.count);
        /// Allocators keep some; a smaller rise of memory is no finding.
        const MIN_BYTES: f64 = 16.0 * 1_048_576.0;
        /// Published as normal: below 10 % (PERF13).
        const MIN_GC: f64 = 0.10;
        let wanted = [
            (
                gauge::STRANDED,
                "stranded",
                MIN_RISE_SHARE * devices,
                1.0,
                "",
            ),
            (
                gauge::ACTIVE,
                "Active Requests",
                MIN_RISE_SHARE * devices,
                1.0,
                "",
            ),
            (
                gauge::CLOSE_WAIT,
                "CLOSE_WAIT",
                MIN_RISE_SHARE * devices,
                1.0,
                "",
            ),
            (
                gauge::MEMORY,
                "private memory",
                MIN_BYTES,
                1.0 / 1_048_576.0,
                " MiB",
            ),
            (gauge::GC, "% Time in GC", MIN_GC, 100.0, " %"),
        ];
        let mut figures = Vec::new();
        let (mut outcome, mut judged, mut seen) = (Outcome::Pass, 0, false);
        for (name, text, least, scale, unit) in wanted {
            let before = median(&self.gauges(PhaseKind::Baseline, name));
            let aging = self.gauges(PhaseKind::Aging, name);
            /// The end of aging, in seconds.
            const END: usize = 5;
            let peak = median(&aging[aging.len().saturating_sub(END)..]);
            let after = median(&self.gauges(PhaseKind::Recovered, name));
            let (Some(before), Some(peak)) = (before, peak) else {
                continue;
            };
            seen = true;
            let rise = peak - before;
            let Some(after) = after else {
                if rise >= least {
                    figures.push(format!("{text} rose and was not seen any more"));
                    outcome = worse_of(outcome, Outcome::NoData);
                }
                continue;
            };
            if rise < least {
                figures.push(format!(
                    "{text} {:.0}{unit} → {:.0}{unit} → {:.0}{unit} (no rise to release)",
                    before * scale,
                    peak * scale,
                    after * scale
                ));
                continue;
            }
            judged += 1;
            let remains = (after - before) / rise;
            let kept = remains > self.plan.checks.residue;
            if kept {
                outcome = Outcome::Fail;
            }
            figures.push(format!(
                "{text} {:.0}{unit} → {:.0}{unit} → {:.0}{unit}{}",
                before * scale,
                peak * scale,
                after * scale,
                if kept {
                    format!(" ← {:.0} % of the rise remains", remains * 100.0)
                } else {
                    String::new()
                }
            ));
        }
        let check = check.figures(figures);
        match (outcome, judged) {
            (Outcome::Fail, _) => check.fail("the pool has not let go of what it had gathered"),
            (Outcome::NoData, _) => check.no_data("what had gathered was not seen any more"),
            (_, 0) if !seen && self.plan.checks.symptom != Expectation::Expected => {
                check.skip("the server's side was not seen, and the scenario does not ask for it")
            }
            (_, 0) if self.plan.checks.symptom != Expectation::Expected => {
                check.skip("nothing had gathered, so there is nothing to release")
            }
            (_, 0) => check.no_data("nothing that could be released was seen to gather"),
            _ => check.pass("the pool has let go of what it had gathered"),
        }
    }

    /// What did the recycle cost?
    pub(super) fn cost(&self) -> Check {
        let check = Draft::new("cost");
        let planned = self
            .plan
            .phase(PhaseKind::Recycle)
            .is_some_and(|phase| phase.trigger != Trigger::None);
        let seen = self.recycles();
        if !planned && self.plan.checks.recycle != Expectation::Expected {
            return check.skip("no recycle was asked for");
        }
        let Some(first) = seen.first() else {
            return if planned {
                check.no_data("no recycle was seen whose cost could be told")
            } else {
                check.skip("no recycle")
            };
        };
        let after: Vec<&Interval> = self
            .intervals
            .iter()
            .filter(|interval| interval.t >= first.t)
            .collect();
        let sum = |counter| {
            after
                .iter()
                .map(|interval| interval.count(counter))
                .sum::<u64>()
        };
        let peak = after
            .iter()
            .map(|interval| interval.count(Counter::Connects))
            .max()
            .unwrap_or(0);
        let cut = sum(Counter::PingsCut);
        let mut figures = vec![
            format!(
                "{cut} Pings cut ({:.0} % of the devices)",
                cut as f64 * 100.0 / f64::from(self.plan.devices.count)
            ),
            format!(
                "{} answers with HTTP errors, {} connections refused, {} connections closed or reset",
                sum(Counter::HttpErrors),
                sum(Counter::ConnectFailures),
                sum(Counter::Closed) + sum(Counter::Resets),
            ),
            format!("at most {peak} new connections in a second"),
        ];
        let restored = self.restored_at(first.t);
        figures.push(match restored {
            Some(t) => format!("Sync times back {:.0} s after the recycle", t - first.t),
            None => "Sync times did not come back".to_owned(),
        });
        let check = check.figures(figures);
        match (self.plan.checks.restored_within, restored) {
            (None, None) => check.no_data("Sync times did not come back, so the cost has no end"),
            (None, Some(_)) => check.pass("told only: no limit is set (restored_within)"),
            (Some(limit), Some(t)) if t - first.t <= limit.as_secs_f64() => check.pass(format!(
                "Sync times were back within {}",
                format_duration(limit)
            )),
            (Some(limit), _) => check.fail(format!(
                "Sync times were not back within {}",
                format_duration(limit)
            )),
        }
    }

    /// The first second from which Sync's p95, over windows of some seconds, stays in tolerance.
    fn restored_at(&self, from: f64) -> Option<f64> {
        /// Enough Syncs for a p95 at small loads.
        const WINDOW: usize = 3;
        let baseline = merged(self.of(PhaseKind::Baseline), Metric::Sync);
        if baseline.is_empty() {
            return None;
        }
        let bound = self.plan.checks.tolerance * baseline.value_at_quantile(0.95) as f64
            + self.plan.checks.slack.as_micros() as f64;
        let after: Vec<&Interval> = self
            .intervals
            .iter()
            .filter(|interval| interval.t >= from && interval.phase != DRAIN)
            .collect();
        let good: Vec<bool> = after
            .windows(WINDOW.min(after.len().max(1)))
            .map(|window| {
                let histogram = merged(window.iter().copied(), Metric::Sync);
                // A window without Syncs says nothing against the others.
                (!histogram.is_empty()).then(|| histogram.value_at_quantile(0.95) as f64 <= bound)
            })
            .map(|good| good.unwrap_or(true))
            .collect();
        // Single bad windows later on are judged by "restored"; here most must be good.
        let rest_is_good = |start: usize| {
            let rest = &good[start..];
            rest[0] && rest.iter().filter(|good| **good).count() * 10 >= rest.len() * 9
        };
        let start = (0..good.len()).find(|start| rest_is_good(*start))?;
        Some(after[start].t)
    }

    /// Did every mail reach every device it was meant for, exactly once?
    pub(super) fn nothing_lost(&self) -> Check {
        let check = Draft::new("nothing lost");
        if self.plan.mail.is_none() {
            return check.skip("the scenario sends no mail");
        }
        let Some(ledger) = self.intervals.last().map(|interval| interval.ledger) else {
            return check.no_data("nothing was measured");
        };
        let check = check.figures(vec![
            format!(
                "{} mails meant, {} accepted, {} failed",
                ledger.meant, ledger.accepted, ledger.failed
            ),
            format!(
                "{} arrivals, {} of them late, {} missing, {} duplicates, {} on a wrong device",
                ledger.synced,
                ledger.late_arrivals,
                ledger.outstanding,
                ledger.duplicates,
                ledger.misplaced
            ),
        ]);
        // A complete run waits for `late_after`; one that was cut short leaves mails under way.
        if ledger.late + ledger.duplicates + ledger.misplaced > 0
            || (self.is_complete() && ledger.outstanding > 0)
        {
            return check.fail("mails are missing, there twice, or in the wrong place");
        }
        if ledger.outstanding > 0 || ledger.accepted + ledger.failed < ledger.meant {
            return check.no_data("mails were under way when the run ended");
        }
        if ledger.accepted == 0 || ledger.synced == 0 {
            return check.no_data("no mail was accepted and received");
        }
        /// A refused mail is not lost, but proves nothing either.
        const MAX_FAILED: f64 = 0.05;
        if ledger.failed as f64 > MAX_FAILED * ledger.meant as f64 {
            return check.no_data("too many mails were not accepted to say what became of mail");
        }
        check.pass("every accepted mail reached every device of its user exactly once")
    }
}

fn worse_of(a: Outcome, b: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Fail => 2,
        Outcome::NoData => 1,
        Outcome::Pass | Outcome::Skipped => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

fn histograms(intervals: &[&Interval], metric: Metric) -> Vec<Histogram<u64>> {
    intervals
        .iter()
        .filter_map(|interval| interval.latency(metric)?.histogram())
        .collect()
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
struct Draft {
    name: &'static str,
    figures: Vec<String>,
}

impl Draft {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
        }
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
