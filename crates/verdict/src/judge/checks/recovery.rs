//! Is everything back as it was?

use super::figured::{EITHER, Unjudged};
use super::measurement::LAG;
use super::*;

/// Figures that share the error of `restored`: three quantiles of two latencies, and requests that fail.
const FIGURES: f64 = 7.0;

/// How late timers of this machine were in an interval, in milliseconds.
fn lag(interval: &Interval) -> f64 {
    interval.gauge(LAG).unwrap_or(0.0)
}

/// What intervals recorded. From those in which timers were later than `on_time` milliseconds, if this is more than 0, their
/// delay is subtracted: what is read may have waited as long as the timer of that second.
fn measured(intervals: &[&Interval], metric: Metric, on_time: f64) -> Vec<Recorded> {
    let each = intervals.iter().map(|interval| {
        let late = lag(interval);
        let is_late = on_time > 0.0 && late > on_time;
        let micros = if is_late { (late * 1e3) as u64 } else { 0 };
        let recorded = histograms(std::slice::from_ref(interval), metric).into_iter();
        let earlier = |one: Recorded| -> Recorded {
            let values = one.into_iter();
            values
                .map(|(value, times)| (value.saturating_sub(micros), times))
                .collect()
        };
        recorded.map(earlier).collect::<Vec<_>>()
    });
    each.flatten().collect()
}

impl RunData<'_> {
    /// Are latencies back? An equivalence test: what cannot be proven to be back does not pass.
    pub(in crate::judge) fn restored(&self) -> Check {
        let check = Draft::new("restored");
        if self.plan.phase(PhaseKind::Recovered).is_none() {
            return check.skip("the scenario has no recovered phase");
        }
        if let Some(why) = self.without_recycle() {
            return check.skip(why);
        }
        let found = self.restored_by(check, [0.0; 2]);
        let allowed = self.lag_allowed();
        // A failure may be due to late timers after the recycle, and a pass to late timers in the baseline.
        let (kind, on_time, does) = match found.outcome {
            Outcome::Fail => (PhaseKind::Recovered, [0.0, allowed], "fails"),
            Outcome::Pass => (PhaseKind::Baseline, [allowed, 0.0], "passes"),
            Outcome::NoData | Outcome::Skipped => return found,
        };
        let intervals = self.of(kind);
        let late = intervals.iter().filter(|one| lag(one) > allowed).count();
        if late == 0 {
            return found;
        }
        let without = self.restored_by(Draft::new("restored"), on_time);
        if without.outcome == found.outcome {
            return found;
        }
        Check {
            outcome: Outcome::NoData,
            reason: format!(
                "{does} only because of {late} intervals of the {} phase in which timers of this machine were more than \
                 {allowed:.0} ms late: this may be the machine, not the server",
                kind.as_str()
            ),
            ..found
        }
    }

    /// The same with latencies as they would be if timers had been on time, in the baseline and after the recycle, where
    /// this is more than 0 ms: see [`measured`].
    fn restored_by(&self, check: Draft<'_>, on_time: [f64; 2]) -> Check {
        let baseline = self.of(PhaseKind::Baseline);
        let recovered = self.of(PhaseKind::Recovered);
        let mut judged = self.still_failing(&baseline, &recovered);
        let mut unmeasured = Vec::new();
        for (metric, text) in [
            (Metric::Sync, "Sync"),
            (Metric::Notification, "notification"),
        ] {
            if metric == Metric::Notification && self.plan.mail.is_none() {
                continue;
            }
            let sides = (
                measured(&baseline, metric, on_time[0]),
                measured(&recovered, metric, on_time[1]),
            );
            match self.latencies_back(text, sides) {
                Ok(figures) => {
                    if figures.iter().all(|one| one.unjudged.is_some()) {
                        unmeasured.push(format!("{text}: no quantile can be judged"));
                    }
                    judged.extend(figures);
                }
                Err(why) => unmeasured.push(format!("{text}: {why}")),
            }
        }
        let beyond = proven(judged.len(), |index, tail| (judged[index].is_beyond)(tail));
        let (mut times_longer, mut is_open): (f64, bool) = (1.0, false);
        let (mut figures, mut unjudged) = (Vec::new(), Vec::new());
        for (figure, is_beyond) in judged.iter().zip(&beyond) {
            let mark = match &figure.unjudged {
                _ if *is_beyond => " ← not within tolerance".to_owned(),
                // Where it is above its limit, it may be what is wrong.
                Some(Unjudged { name, why }) if !figure.exceeds => {
                    unjudged.push(name.as_str());
                    format!(" (not judged: {why})")
                }
                None if figure.is_within => String::new(),
                open => {
                    is_open = true;
                    times_longer = times_longer.max(figure.times_longer);
                    let why = open.as_ref().map(|open| format!(" ({})", open.why));
                    format!(" ← not proven either way{}", why.unwrap_or_default())
                }
            };
            figures.push(format!("{}{mark}", figure.text));
        }
        let is_measured = unmeasured.is_empty();
        figures.extend(unmeasured);
        let check = check.figures(figures);
        let bound = format!(
            "{} × baseline + {}",
            self.plan.checks.tolerance,
            format_duration(self.plan.checks.slack)
        );
        if beyond.contains(&true) {
            check.fail(format!(
                "latencies are above {bound}, requests fail, or devices wait"
            ))
        } else if !is_measured {
            check.no_data(format!("too little was measured to compare with {bound}"))
        } else if is_open {
            check.no_data(format!(
                "inconclusive: the 99 % bounds do not prove whether {bound} is met; {}",
                self.longer(times_longer)
            ))
        } else if unjudged.is_empty() {
            check.pass(format!("latencies are within {bound}"))
        } else {
            check.pass(format!(
                "latencies are within {bound}; not judged: {}",
                unjudged.join(", ")
            ))
        }
    }

    /// How long the compared phases would have to be, in words.
    fn longer(&self, times: f64) -> String {
        /// A figure this close to its limit needs a phase that nobody would play.
        const MOST: f64 = 100.0;
        let seconds = |kind| {
            self.plan
                .phase(kind)
                .map(|phase| phase.duration.as_secs_f64())
        };
        let longest = [PhaseKind::Baseline, PhaseKind::Recovered]
            .into_iter()
            .filter_map(seconds)
            .reduce(f64::max);
        match longest {
            Some(seconds) if times <= MOST => format!(
                "play baseline and recovered phases of at least {:.0} s",
                (seconds * times).ceil()
            ),
            _ => "a figure is so close to the limit that no phase of reasonable length proves it"
                .to_owned(),
        }
    }

    /// The quantiles of a latency. An error says why there are none.
    fn latencies_back(
        &self,
        text: &str,
        (baseline, recovered): (Vec<Recorded>, Vec<Recorded>),
    ) -> Result<Vec<Figured<'_>>, String> {
        let (before, after) = (samples(&baseline), samples(&recovered));
        if before.min(after) < MIN_SAMPLES {
            return Err(format!(
                "{before} and {after} samples, {MIN_SAMPLES} needed on each side"
            ));
        }
        let quantiles = QUANTILES.map(|(_, quantile)| quantile);
        let compared = compare_quantiles(&baseline, &recovered, quantiles, Course::Level)
            .ok_or_else(|| "too few intervals".to_owned())?;
        let named = QUANTILES.into_iter().zip(compared);
        let figures = named.map(|((name, quantile), compared)| {
            let needed = samples_needed(quantile, ALARM);
            self.latency_back(format!("{text} {name}"), compared, [before, after], needed)
        });
        Ok(figures.collect())
    }

    /// A quantile of so many samples before and after. It can only be proven to be within tolerance, if so many of the
    /// latter as are `needed` are independent of each other.
    fn latency_back(
        &self,
        name: String,
        compared: Comparison<Quantile>,
        [before, after]: [u64; 2],
        needed: u64,
    ) -> Figured<'_> {
        let checks = &self.plan.checks;
        let (slack, tolerance) = (checks.slack.as_micros() as f64, checks.tolerance);
        let ((b, a), ratio) = (compared.value(), compared.ratio(SHOWN));
        let is_enough = before.min(after) >= needed;
        let exceeds = a - tolerance * b > slack;
        let certain = compared.sides().1.certain(ALARM);
        let (why, times_longer) = if !is_enough {
            let samples = before.min(after) as f64;
            let why = format!("{before} and {after} samples, {needed} needed");
            (Some(why), needed as f64 / samples)
        } else if compared.after_upper(ALARM).is_infinite() {
            let why =
                format!("{after} samples count as {certain:.0} independent ones, {needed} needed");
            (Some(why), needed as f64 / certain)
        } else {
            // Above its limit it has to be proven beside all other figures.
            let tail = if exceeds { ALARM / FIGURES } else { ALARM };
            (None, compared.times_longer(tolerance, slack, tail))
        };
        Figured {
            text: format!(
                "{name} {} → {}, {} (95 % interval {})",
                time(b),
                time(a),
                times(ratio.value),
                times_between(ratio.low, ratio.high),
            ),
            unjudged: why.map(|why| Unjudged { name, why }),
            exceeds,
            is_within: compared.upper(tolerance, ALARM) <= slack,
            times_longer,
            // A failure may be proven all the same.
            is_beyond: Box::new(move |tail| is_enough && compared.lower(tolerance, tail) > slack),
        }
    }

    /// Requests that fail, devices that hang in a Sync or wait for mail have no latency that could be
    /// bad. Devices that wait are listed only if they are more than in the baseline.
    fn still_failing(&self, baseline: &[&Interval], recovered: &[&Interval]) -> Vec<Figured<'_>> {
        /// As often, or as long, as in the baseline.
        const TWICE: f64 = 2.0;
        let share = Share::compare(&failing_each(baseline), &failing_each(recovered));
        let failing = share.map(|share| {
            let (before, after) = share.value();
            let text = format!(
                "requests that fail {:.1} % → {:.1} % (99.5 % bounds {:.1} % and {:.1} %)",
                before * 100.0,
                after * 100.0,
                share.after_lower(EITHER) * 100.0,
                share.after_upper(EITHER) * 100.0
            );
            let limit = Limit {
                unnoticed: NOTICED,
                factor: TWICE,
            };
            figured(share, limit, text)
        });
        let hanging = self.hanging(baseline, recovered, TWICE);
        let checks = &self.plan.checks;
        let (factor, slack) = (checks.tolerance.max(TWICE), checks.slack.as_secs_f64());
        let waits = self.longer_wait(baseline, recovered, factor, slack);
        let others = [hanging, waits].into_iter().flatten();
        failing
            .into_iter()
            .chain(others.filter(|figure| figure.exceeds))
            .collect()
    }
}
