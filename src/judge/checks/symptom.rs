//! Was the symptom there, did the recycle happen?

use super::*;

impl Bench<'_> {
    /// Did stranded requests gather, and did the service get worse?
    pub(in crate::judge) fn symptom(&self) -> Check {
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
                "not reproduced: requests gather, but Sync got no worse by {factor}, and no more requests fail"
            )),
        }
    }

    /// Whether Sync latency or failing requests in the last third of aging are worse than in the
    /// baseline by the plan's factor.
    fn worsening(&self, figures: &mut Vec<String>) -> Option<bool> {
        let aging = self.of(PhaseKind::Aging);
        let degraded = &aging[aging.len() * 2 / 3..];
        let baseline = self.of(PhaseKind::Baseline);
        let (before, after) = (failing(&baseline), failing(degraded));
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
        let (b, d) = (
            merged(baseline.iter().copied(), Metric::Sync),
            merged(degraded.iter().copied(), Metric::Sync),
        );
        if b.len() < MIN_SAMPLES || d.len() < MIN_SAMPLES {
            return fails.then_some(true);
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
        Some(fails || (proven && d95 >= b95 * self.plan.checks.symptom_factor))
    }

    /// Did a recycle happen?
    pub(in crate::judge) fn recycle_seen(&self) -> Check {
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
}
