//! Is everything back as it was?

use super::*;

impl Bench<'_> {
    /// Are latencies back?
    pub(in crate::judge) fn restored(&self) -> Check {
        let check = Draft::new("restored");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        if let Some(why) = self.without_recycle() {
            return check.skip(why);
        }
        let (baseline, recovered) = (self.of(PhaseKind::Baseline), self.of(PhaseKind::Recovered));
        let slack = self.plan.checks.slack.as_micros() as f64;
        let tolerance = self.plan.checks.tolerance;
        let mut figures = Vec::new();
        let (mut worst, mut judged) = (Outcome::Pass, 0);
        if let Some((outcome, figure)) = self.still_failing(&baseline, &recovered) {
            figures.push(figure);
            worst = outcome;
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
            let quantiles = QUANTILES.map(|(_, quantile)| quantile);
            let Some(compared) = compare_quantiles(&b, &a, quantiles, &mut random) else {
                figures.push(format!("{text}: too few intervals"));
                worst = worse_of(worst, Outcome::NoData);
                continue;
            };
            for ((name, _), compared) in QUANTILES.iter().zip(&compared) {
                judged += 1;
                let (difference, ratio) = (compared.difference(tolerance), compared.ratio());
                let outcome = if difference.low > slack {
                    Outcome::Fail
                } else if difference.value <= slack {
                    Outcome::Pass
                } else {
                    Outcome::NoData
                };
                let mark = match outcome {
                    Outcome::Fail => " ← not within tolerance",
                    Outcome::NoData => " ← above tolerance, but perhaps by chance",
                    Outcome::Pass | Outcome::Skipped => "",
                };
                figures.push(format!(
                    "{text} {name} {} → {}, {} (95 % interval {} to {}){mark}",
                    time(compared.value.0),
                    time(compared.value.1),
                    times(ratio.value),
                    times(ratio.low),
                    times(ratio.high),
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
            Outcome::Fail => check.fail(format!(
                "latencies are above {bound}, requests fail, or devices wait"
            )),
            Outcome::Pass if judged > 0 => check.pass(format!("latencies are within {bound}")),
            _ => check.no_data(format!(
                "cannot be told from {bound} with what was measured"
            )),
        }
    }

    /// Requests that fail, devices that hang in a Sync or wait for mail have no latency that could be
    /// bad.
    fn still_failing(
        &self,
        baseline: &[&Interval],
        recovered: &[&Interval],
    ) -> Option<(Outcome, String)> {
        /// As often, or as long, as in the baseline.
        const TWICE: f64 = 2.0;
        let (before, after) = (failing(baseline), failing(recovered));
        if after > NOTICED && after > TWICE * before {
            let text = format!(
                "{:.0} % of requests fail ← {:.0} % in the baseline",
                after * 100.0,
                before * 100.0
            );
            return Some((Outcome::Fail, text));
        }
        let syncing = |intervals: &[&Interval]| self.syncing(intervals);
        let (before, after) = (syncing(baseline), syncing(recovered));
        if after > NOTICED && after > TWICE * before {
            let text = format!(
                "{:.0} % of the devices wait for a Sync ← {:.0} %",
                after * 100.0,
                before * 100.0
            );
            return Some((Outcome::Fail, text));
        }
        let checks = &self.plan.checks;
        let (factor, slack) = (checks.tolerance.max(TWICE), checks.slack.as_secs_f64());
        let longer = self.longer_wait(baseline, recovered, factor, slack)?;
        let outcome = if longer.is_proven {
            Outcome::Fail
        } else {
            Outcome::NoData
        };
        Some((outcome, longer.text))
    }

    /// Active Requests of devices that the baseline did not have yet: a ramp that lasts into it, or a
    /// server that turned devices away, would look like a pool that keeps what it gathered.
    fn of_devices_that_came(&self, active_before: f64) -> f64 {
        /// A request counts in the front end and in the back end (L4), and no more often.
        const MOST_PER_REQUEST: f64 = 2.0;
        let open = |kind| {
            let intervals = self.of(kind).into_iter();
            median(&intervals.map(Interval::open_requests).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let (before, after) = (open(PhaseKind::Baseline), open(PhaseKind::Recovered));
        let came = (after - before).max(0.0);
        // Other clients of the server have their share in `active_before`; it stays as it is.
        let per_request = (active_before / before.max(1.0)).min(MOST_PER_REQUEST);
        came * per_request
    }

    /// Has the pool let go of what it had gathered?
    pub(in crate::judge) fn released(&self) -> Check {
        let check = Draft::new("released");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        if let Some(why) = self.without_recycle() {
            return check.skip(why);
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
        let (mut outcome, mut judged) = (Outcome::Pass, 0);
        // Of any phase: a scenario without an aging phase may have been seen well.
        let was_read = |name: &str| self.intervals.iter().any(|one| one.gauge(name).is_some());
        let seen = wanted.iter().any(|(name, ..)| was_read(name));
        let has_aging = self.plan.phase(PhaseKind::Aging).is_some();
        for (name, text, least, scale, unit) in wanted {
            let baseline = self.gauges(PhaseKind::Baseline, name);
            let before = median(&baseline);
            let aging = self.gauges(PhaseKind::Aging, name);
            /// The end of aging, in seconds.
            const END: usize = 5;
            let peak = median(&aging[aging.len().saturating_sub(END)..]);
            let after = median(&self.gauges(PhaseKind::Recovered, name));
            let (Some(before), Some(peak)) = (before, peak) else {
                continue;
            };
            let came = match name {
                gauge::ACTIVE => self.of_devices_that_came(before),
                _ => 0.0,
            };
            // % Time in GC is 0 in the seconds between two collections. A level that the baseline had in
            // one of ten seconds is no residue.
            let usual = upper_decile(&baseline).unwrap_or(before) + came;
            let before = before + came;
            let rise = peak - before;
            let Some(after) = after else {
                if rise >= least {
                    figures.push(format!(
                        "{text} rose, and was not looked at after the recycle"
                    ));
                    outcome = worse_of(outcome, Outcome::NoData);
                }
                continue;
            };
            if rise < least {
                figures.push(format!(
                    "{text} {}{unit} → {}{unit} → {}{unit} (no rise to release)",
                    whole(before * scale),
                    whole(peak * scale),
                    whole(after * scale)
                ));
                continue;
            }
            judged += 1;
            let remains = (after - before) / rise;
            let kept = remains > self.plan.checks.residue && after > usual;
            if kept {
                outcome = Outcome::Fail;
            }
            figures.push(format!(
                "{text} {}{unit} → {}{unit} → {}{unit}{}",
                whole(before * scale),
                whole(peak * scale),
                whole(after * scale),
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
            (Outcome::NoData, _) => {
                check.no_data("what had gathered was not looked at after the recycle")
            }
            (_, 0) if !seen && self.plan.checks.symptom != Expectation::Expected => {
                check.skip("the server's side was not seen, and the scenario does not ask for it")
            }
            (_, 0) if !has_aging && self.plan.checks.symptom != Expectation::Expected => {
                check.skip("the scenario has no aging phase in which something could gather")
            }
            (_, 0) if self.plan.checks.symptom != Expectation::Expected => {
                check.skip("nothing had gathered, so there is nothing to release")
            }
            (_, 0) => check.no_data("nothing that could be released was seen to gather"),
            _ => check.pass("the pool has let go of what it had gathered"),
        }
    }
}
