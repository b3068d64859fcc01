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
}
