//! The user's own thresholds, a check each.

use scenario::{Bound, Figure, Statistic, Threshold};

use super::*;

/// Phases that count where a threshold names none: devices start in the ramp, and stop after.
const UNJUDGED: [&str; 2] = ["ramp", DRAIN];

impl RunData<'_> {
    /// One check for each threshold of the scenario.
    pub(in crate::judge) fn thresholds(&self) -> Vec<Check> {
        let thresholds = self.plan.checks.thresholds.iter();
        thresholds
            .map(|threshold| {
                let mut kinds = match threshold.phase {
                    Some(kind) => vec![kind],
                    None => self.plan.phases.iter().map(|phase| phase.kind).collect(),
                };
                if let Bound::Phase { phase, .. } = &threshold.bound {
                    kinds.push(*phase);
                }
                self.unless_untriggered(&kinds, self.threshold(threshold))
            })
            .collect()
    }

    fn threshold(&self, threshold: &Threshold) -> Check {
        let check = Draft::new(&threshold.text);
        let intervals = self.in_phase(threshold.phase);
        let Some(found) = self.figure(&threshold.figure, &intervals, threshold.phase) else {
            return check.no_data("the figure was not seen there");
        };
        let bound = match &threshold.bound {
            Bound::Number(number) => Some(*number),
            Bound::Percent(percent) => self.percent(&threshold.figure, *percent, &intervals),
            Bound::Phase {
                factor,
                phase,
                plus,
            } => self
                .figure(
                    &threshold.figure,
                    &self.in_phase(Some(*phase)),
                    Some(*phase),
                )
                .map(|other| factor * other * self.as_long(threshold, *phase) + plus),
        };
        let Some(bound) = bound else {
            return check.no_data("there is nothing to compare the figure with");
        };
        let shown = |value: f64| match &threshold.figure {
            Figure::Latency(_, Statistic::Count) => format!("{value:.0}"),
            Figure::Latency(..) => time(value),
            Figure::Failing => format!("{:.2} %", value * 100.0),
            Figure::Level(..) if value.abs() < 10.0 => format!("{value:.3}"),
            _ => format!("{value:.0}"),
        };
        let figure = format!("{} against {}", shown(found), shown(bound));
        let holds = threshold.relation.holds(found, bound);
        let check = check.figures(vec![figure]);
        // What a run that was cut short has not seen can still come.
        match (holds, self.is_complete()) {
            (true, true) => check.pass("holds"),
            (true, false) => check.no_data("holds so far; the run ended before its time"),
            (false, _) => check.fail("does not hold"),
        }
    }

    /// Counts of two phases are compared as if both had lasted as long.
    fn as_long(&self, threshold: &Threshold, other: PhaseKind) -> f64 {
        if !matches!(threshold.figure, Figure::Count(_)) {
            return 1.0;
        }
        let seconds = |phase| -> f64 {
            let intervals = self.in_phase(phase);
            intervals.iter().map(|interval| interval.seconds).sum()
        };
        seconds(threshold.phase) / seconds(Some(other)).max(1.0)
    }

    fn in_phase(&self, phase: Option<PhaseKind>) -> Vec<&Interval> {
        let all = self.intervals.iter();
        all.filter(|interval| match phase {
            Some(kind) => interval.phase == kind.as_str(),
            None => !UNJUDGED.contains(&interval.phase.as_str()),
        })
        .collect()
    }

    fn figure(
        &self,
        figure: &Figure,
        intervals: &[&Interval],
        phase: Option<PhaseKind>,
    ) -> Option<f64> {
        if intervals.is_empty() {
            return None;
        }
        match figure {
            Figure::Latency(name, statistic) => {
                let metric = Metric::parse(name)?;
                let histogram = merged(intervals.iter().copied(), metric);
                if *statistic == Statistic::Count {
                    return Some(histogram.len() as f64);
                }
                if histogram.is_empty() {
                    return None;
                }
                // A quantile needs a sample beyond it, or it is just the largest.
                if let Statistic::Quantile(quantile) = statistic
                    && (histogram.len() as f64) * (1.0 - quantile) < 1.0
                {
                    return None;
                }
                Some(match statistic {
                    Statistic::Quantile(quantile) => histogram.value_at_quantile(*quantile) as f64,
                    Statistic::Mean => histogram.mean(),
                    Statistic::Max | Statistic::Last | Statistic::Count => histogram.max() as f64,
                })
            }
            Figure::Count(name) => {
                let counter = Counter::parse(name)?;
                let counts = intervals.iter().map(|interval| interval.count(counter));
                Some(counts.sum::<u64>() as f64)
            }
            Figure::Failing => {
                let asked = intervals.iter().any(|interval| {
                    interval.count(Counter::Answers) + interval.count(Counter::TimedOut) > 0
                });
                asked.then(|| failing(intervals))
            }
            Figure::Level(name, statistic) => self.level(name, *statistic, intervals, phase),
            Figure::Mails(which) => {
                self.plan.mail.as_ref()?;
                let ledger = self.digest.ledger;
                if which == "missing" && ledger.lost() == 0 && ledger.outstanding > 0 {
                    return None;
                }
                Some(match which.as_str() {
                    "missing" => ledger.lost(),
                    "late" => ledger.late_arrivals + ledger.late,
                    "duplicates" => ledger.duplicates,
                    _ => ledger.misplaced,
                } as f64)
            }
        }
    }

    fn level(
        &self,
        name: &str,
        statistic: Statistic,
        intervals: &[&Interval],
        phase: Option<PhaseKind>,
    ) -> Option<f64> {
        let mut values: Vec<f64> = intervals
            .iter()
            .filter_map(|interval| interval.gauge(name))
            .collect();
        values.last()?;
        let extremes = self.digest.extremes.iter().filter(|(of, _)| match phase {
            Some(kind) => of.as_str() == kind.as_str(),
            None => !UNJUDGED.contains(&of.as_str()),
        });
        let extremes: Vec<_> = extremes
            .filter_map(|(_, gauges)| gauges.get(name))
            .collect();
        let max = extremes.iter().map(|extreme| extreme.max).reduce(f64::max);
        Some(match statistic {
            Statistic::Quantile(quantile) => {
                values.sort_by(f64::total_cmp);
                let index = ((values.len() - 1) as f64 * quantile).round() as usize;
                values[index]
            }
            Statistic::Mean => values.iter().sum::<f64>() / values.len() as f64,
            Statistic::Max => max?,
            // Phases are kept by name; the last interval says which was played last.
            Statistic::Last | Statistic::Count => {
                let last = intervals
                    .iter()
                    .rev()
                    .find(|one| one.gauge(name).is_some())?;
                self.digest.extremes.get(&last.phase)?.get(name)?.last
            }
        })
    }

    /// Percent of what a figure is a part of, in the figure's own unit.
    fn percent(&self, figure: &Figure, percent: f64, intervals: &[&Interval]) -> Option<f64> {
        let share = percent / 100.0;
        match figure {
            Figure::Failing | Figure::Level(..) => Some(share),
            Figure::Count(name) if name.starts_with("pings_") => {
                Some(share * f64::from(self.plan.devices.count))
            }
            Figure::Count(_) => {
                let of = |counter| -> u64 {
                    intervals
                        .iter()
                        .map(|interval| interval.count(counter))
                        .sum()
                };
                let requests = of(Counter::Answers)
                    + of(Counter::TimedOut)
                    + of(Counter::Closed)
                    + of(Counter::Resets)
                    + of(Counter::ConnectFailures);
                (requests > 0).then_some(share * requests as f64)
            }
            Figure::Latency(..) | Figure::Mails(_) => None,
        }
    }
}
