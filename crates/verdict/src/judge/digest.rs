//! A timeline of any length → what the checks look at, in bounded memory.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use scenario::names::{Counter, Gauges};

use super::gauge;
use super::sources::{Doubt, Watch};
use crate::recycle::{Detector, Due, FailedTrigger, Seen};
use crate::timeline::{Interval, Latency, LedgerCounts};

/// Intervals that a phase keeps. When they are full, neighbours are put together: a day then has
/// intervals of some minutes, which are as many as the statistics need.
const MOST: usize = 128;

/// A run as the checks see it.
#[derive(Debug, Clone, Default)]
pub struct Digest {
    /// Intervals in order: of a second, or of as many as a long phase asks for.
    pub intervals: Vec<Interval>,
    /// Recycles after the ramp, and what only looks like them.
    pub seen: Seen,
    /// The busiest second of each phase: phase → counter → count.
    pub peaks: BTreeMap<String, BTreeMap<String, u64>>,
    /// Largest and last value of each gauge: phase → gauge.
    pub extremes: BTreeMap<String, BTreeMap<String, Extreme>>,
    /// Seconds that are missing from the timeline: phase → seconds.
    pub gaps: BTreeMap<String, f64>,
    /// Recycles that the policy asks for, if it was looked at.
    pub due: Vec<Due>,
    /// Triggers without success.
    pub failed_triggers: Vec<FailedTrigger>,
    /// The ledger at the end.
    pub ledger: LedgerCounts,
    /// Figures of the server that cannot be right.
    pub doubts: Vec<Doubt>,
}

/// Largest and last value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    /// Largest.
    pub max: f64,
    /// Last.
    pub last: f64,
}

/// Makes a digest.
#[derive(Debug, Default)]
pub struct Digester {
    digest: Digest,
    detector: Detector,
    watch: Watch,
    /// The best basis of the estimate of stranded requests so far.
    basis: Option<f64>,
    /// Where the phase that is under way begins in the intervals.
    phase_start: usize,
    /// Seconds that are put together in it.
    width: usize,
    group: Vec<Interval>,
    before: f64,
}

impl Digester {
    /// Takes the next interval in.
    pub fn push(&mut self, mut interval: Interval) {
        self.keep_basis(&mut interval);
        self.watch.push(&interval);
        self.detector.push(&interval);
        self.extremes(&interval);
        self.digest.ledger = interval.ledger;
        let last = self.group.last().or(self.digest.intervals.last());
        if last.is_none_or(|last| last.phase != interval.phase) {
            self.flush();
            self.phase_start = self.digest.intervals.len();
            self.width = 1;
        }
        self.group.push(interval);
        if self.group.len() >= self.width {
            self.flush();
        }
        if self.digest.intervals.len() - self.phase_start >= MOST {
            let phase = self.digest.intervals.split_off(self.phase_start);
            let mut phase = phase.into_iter();
            while let Some(first) = phase.next() {
                let pair: Vec<Interval> = std::iter::once(first).chain(phase.next()).collect();
                self.digest.intervals.extend(together(pair));
            }
            self.width *= 2;
        }
    }

    /// Keeps the estimates of stranded requests of one basis, the best of the run: numbers of two bases make no series.
    fn keep_basis(&mut self, interval: &mut Interval) {
        let Some(basis) = interval.gauge(gauge::BASIS) else {
            return;
        };
        match self.basis {
            Some(best) if basis > best => without_estimate(&mut interval.gauges),
            Some(best) if basis < best => {
                let before = self.digest.intervals.iter_mut().chain(&mut self.group);
                before.for_each(|interval| without_estimate(&mut interval.gauges));
                let extremes = self.digest.extremes.values_mut();
                extremes.for_each(|extremes| extremes.retain(|name, _| !is_estimate(name)));
                self.basis = Some(basis);
            }
            _ => self.basis = Some(basis),
        }
    }

    fn flush(&mut self) {
        let group = std::mem::take(&mut self.group);
        self.digest.intervals.extend(together(group));
    }

    fn extremes(&mut self, interval: &Interval) {
        let peaks = self.digest.peaks.entry(interval.phase.clone()).or_default();
        for (name, count) in &interval.counts {
            let peak = peaks.entry(name.clone()).or_default();
            *peak = (*peak).max(*count);
        }
        let extremes = self
            .digest
            .extremes
            .entry(interval.phase.clone())
            .or_default();
        for (name, value) in &interval.gauges {
            let extreme = extremes.entry(name.clone()).or_insert(Extreme {
                max: f64::NEG_INFINITY,
                last: *value,
            });
            extreme.max = extreme.max.max(*value);
            extreme.last = *value;
        }
        /// An interval that is half a second late is still that of its second.
        const LATE: f64 = 0.5;
        let missing = interval.t - self.before - 1.0;
        if missing > LATE {
            *self.digest.gaps.entry(interval.phase.clone()).or_default() += missing;
        }
        self.before = interval.t;
    }

    /// The digest of everything.
    #[must_use]
    pub fn done(mut self) -> Digest {
        self.flush();
        self.digest.seen = self.detector.seen();
        self.digest.doubts = self.watch.doubts();
        self.digest
    }
}

impl FromIterator<Interval> for Digest {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut digester = Digester::default();
        for interval in intervals {
            digester.push(interval);
        }
        digester.done()
    }
}

fn is_estimate(name: &str) -> bool {
    name == gauge::STRANDED || name.starts_with("stranded.")
}

fn without_estimate(gauges: &mut Gauges) {
    gauges.retain(|name, _| !is_estimate(name));
}

impl Digest {
    /// The doubts about what a conclusion from that gauge rests on. The estimate of stranded requests rests on the
    /// counter that is its basis.
    pub fn doubts_about<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Doubt> {
        let basis = || {
            let mut bases = self
                .intervals
                .iter()
                .filter_map(|one| one.gauge(gauge::BASIS));
            match bases.next() {
                Some(2.0) => gauge::PENDING,
                Some(3.0) => "",
                _ => gauge::ACTIVE,
            }
        };
        let name = if is_estimate(name) { basis() } else { name };
        self.doubts.iter().filter(move |doubt| doubt.covers(name))
    }

    /// The busiest second of some phases.
    pub fn peak<'a>(&self, phases: impl IntoIterator<Item = &'a str>, counter: Counter) -> u64 {
        let of = |phase: &str| self.peaks.get(phase)?.get(counter.as_str()).copied();
        phases.into_iter().filter_map(of).max().unwrap_or(0)
    }
}

/// Figures whose largest value counts, and not their average: one late timer, or one step of the clock, is enough to
/// spoil what was measured in that second.
const LARGEST: [&str; 2] = ["harness.lag_ms", "harness.clock_step_ms"];

/// Several intervals as one: counts are added, gauges averaged but for [`LARGEST`], histograms merged.
fn together(mut group: Vec<Interval>) -> Option<Interval> {
    if group.len() <= 1 {
        return group.pop();
    }
    let mut sum = Interval::default();
    let mut gauges: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut histograms: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    for interval in group {
        sum.t = interval.t;
        sum.seconds += interval.seconds;
        sum.phase = interval.phase;
        sum.ledger = interval.ledger;
        for (name, count) in interval.counts {
            *sum.counts.entry(name).or_default() += count;
        }
        for (name, value) in interval.gauges {
            let is_largest = LARGEST.contains(&name.as_str());
            let (total, weight) = gauges.entry(name).or_default();
            if is_largest {
                (*total, *weight) = (total.max(value), 1.0);
            } else {
                *total += value * interval.seconds;
                *weight += interval.seconds;
            }
        }
        for (name, latency) in interval.latencies {
            let Some(histogram) = latency.histogram() else {
                continue;
            };
            match histograms.entry(name) {
                std::collections::btree_map::Entry::Vacant(slot) => {
                    slot.insert(histogram);
                }
                std::collections::btree_map::Entry::Occupied(mut slot) => {
                    // The sum resizes itself only if it may.
                    slot.get_mut().auto(true);
                    let _ = slot.get_mut().add(&histogram);
                }
            }
        }
    }
    let averages = gauges.into_iter();
    sum.gauges = averages
        .map(|(name, (total, weight))| (name, total / weight))
        .collect::<Gauges>();
    let latencies = histograms.iter();
    sum.latencies = latencies
        .filter_map(|(name, histogram)| Some((name.clone(), Latency::of(histogram)?)))
        .collect();
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(second: u32, phase: &str) -> Interval {
        let mut interval = Interval {
            t: second.into(),
            seconds: 1.0,
            phase: phase.to_owned(),
            ..Interval::default()
        };
        interval.counts.insert("syncs".to_owned(), 2);
        interval.gauges.insert("x".to_owned(), second.into());
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        histogram.record(u64::from(second) + 1).unwrap();
        interval
            .latencies
            .insert("sync".to_owned(), Latency::of(&histogram).unwrap());
        interval
    }

    #[test]
    fn short_phases_stay_as_they_are() {
        let intervals: Vec<Interval> = (1..=20)
            .map(|second| interval(second, if second <= 10 { "ramp" } else { "baseline" }))
            .collect();
        let digest: Digest = intervals.iter().cloned().collect();
        assert_eq!(digest.intervals, intervals);
        assert!(digest.gaps.is_empty());
    }

    #[test]
    fn a_day_is_as_many_intervals_and_loses_no_count() {
        const DAY: u32 = 10_000;
        let days = (1..=DAY).map(|second| interval(second, "aging"));
        let after = (DAY + 1..=DAY + 5).map(|second| interval(second, "recovered"));
        let digest: Digest = days.chain(after).collect();
        let of = |phase: &str| -> Vec<&Interval> {
            let all = digest.intervals.iter();
            all.filter(|interval| interval.phase == phase).collect()
        };
        assert!(of("aging").len() <= MOST && of("aging").len() >= MOST / 2);
        assert_eq!(of("recovered").len(), 5);
        let counted: u64 = of("aging")
            .iter()
            .map(|interval| interval.counts["syncs"])
            .sum();
        assert_eq!(counted, 2 * u64::from(DAY));
        let samples: u64 = of("aging")
            .iter()
            .map(|interval| interval.latencies["sync"].histogram().unwrap().len())
            .sum();
        assert_eq!(samples, u64::from(DAY));
        assert_eq!(digest.extremes["aging"]["x"].last, f64::from(DAY));
        // Averages of neighbours keep the line.
        for interval in of("aging") {
            let middle = interval.t - (interval.seconds - 1.0) / 2.0;
            assert!((interval.gauges["x"] - middle).abs() < 1e-6);
        }
        assert_eq!(digest.intervals.last().unwrap().seconds, 1.0);
    }

    #[test]
    fn largest_lag_of_a_long_phase_is_kept_and_not_averaged() {
        let seconds = (1..=1000).map(|second| {
            let mut interval = interval(second, "aging");
            let lag = if second == 501 { 400.0 } else { 1.0 };
            interval.gauges.insert("harness.lag_ms".to_owned(), lag);
            interval.gauges.insert("other".to_owned(), lag);
            interval
        });
        let digest: Digest = seconds.collect();
        let most = |name: &str| {
            let values = digest.intervals.iter().filter_map(|one| one.gauge(name));
            values.fold(0.0, f64::max)
        };
        assert!(digest.intervals.len() <= MOST);
        assert_eq!(most("harness.lag_ms"), 400.0);
        assert!(most("other") < 100.0);
    }

    /// Ten seconds of an estimate, each with its basis.
    fn estimates(bases: [f64; 10]) -> Vec<Option<f64>> {
        let seconds = (1..).zip(bases).map(|(second, basis)| {
            let mut interval = interval(second, "aging");
            interval.gauges.insert(gauge::BASIS.to_owned(), basis);
            interval
                .gauges
                .insert(gauge::STRANDED.to_owned(), 100.0 / basis);
            interval
        });
        let digest: Digest = seconds.collect();
        let last = digest.extremes["aging"].get(gauge::STRANDED);
        let shown = digest
            .intervals
            .iter()
            .map(|one| one.gauge(gauge::STRANDED));
        let shown: Vec<_> = shown.collect();
        assert_eq!(
            last.map(|one| one.last),
            shown.iter().copied().flatten().last()
        );
        shown
    }

    #[test]
    fn estimates_of_the_best_basis_are_kept_and_the_others_are_gaps() {
        let (one, gap) = (Some(100.0), None);
        assert_eq!(estimates([1.0; 10]), [one; 10]);
        assert_eq!(
            estimates([3.0, 3.0, 1.0, 3.0, 1.0, 2.0, 1.0, 1.0, 1.0, 3.0]),
            [gap, gap, one, gap, one, gap, one, one, one, gap]
        );
        assert_eq!(estimates([3.0; 10]), [Some(100.0 / 3.0); 10]);
    }

    #[test]
    fn doubts_about_the_basis_are_doubts_about_the_estimate() {
        use crate::judge::DoubtKind;
        for (basis, expected) in [(1.0, 1), (2.0, 0), (3.0, 0)] {
            let mut only = interval(1, "aging");
            only.gauges.insert(gauge::BASIS.to_owned(), basis);
            let mut digest: Digest = [only].into_iter().collect();
            digest.doubts = vec![Doubt {
                gauge: gauge::ACTIVE,
                kind: DoubtKind::Frozen,
                text: String::new(),
            }];
            assert_eq!(digest.doubts_about("stranded.low").count(), expected);
            assert_eq!(digest.doubts_about(gauge::ACTIVE).count(), 1);
            assert_eq!(digest.doubts_about(gauge::MEMORY).count(), 0);
        }
    }

    #[test]
    fn seconds_that_are_missing_are_counted() {
        let digest: Digest = [1, 2, 7]
            .into_iter()
            .map(|second| interval(second, "aging"))
            .collect();
        assert_eq!(digest.gaps["aging"], 4.0);
    }
}
