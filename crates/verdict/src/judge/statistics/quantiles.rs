//! Quantiles with distribution-free intervals.

use std::rc::Rc;

use hdrhistogram::Histogram;

use super::MIN_INTERVALS;
use super::comparison::{Comparison, Figure};
use super::distributions::Critical;
use super::shares::Share;

/// What an interval recorded: values and how often they came. A histogram itself takes its range,
/// some 200 kB for hours in microseconds.
pub type Recorded = Vec<(u64, u64)>;

/// What a histogram recorded.
#[must_use]
pub fn recorded(histogram: &Histogram<u64>) -> Recorded {
    let buckets = histogram.iter_recorded();
    buckets
        .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
        .collect()
}

/// Samples that a quantile needs for a distribution-free upper bound: with fewer, even the largest of
/// all is below the quantile with a probability of more than `tail`. At 1 % p50 needs 7, p95 90 and
/// p99 459.
#[must_use]
pub fn samples_needed(quantile: f64, tail: f64) -> u64 {
    (tail.ln() / quantile.ln()).ceil() as u64
}

/// A quantile of samples. Its interval is Woodruff's: the limits of the share of samples above it,
/// read from the distribution of the samples.
#[derive(Debug, Clone)]
pub struct Quantile {
    samples: Rc<Samples>,
    /// Share of the samples above it.
    above: f64,
    value: f64,
    share: Share,
}

/// All samples of a side: each value that occurs with the number of samples up to it, in rising order.
#[derive(Debug)]
struct Samples(Vec<(f64, f64)>);

impl Samples {
    fn new(intervals: &[Vec<(f64, f64)>]) -> Self {
        let mut values: Vec<(f64, f64)> = intervals.iter().flatten().copied().collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut up_to: Vec<(f64, f64)> = Vec::with_capacity(values.len());
        let mut count = 0.0;
        for (value, times) in values {
            count += times;
            match up_to.last_mut() {
                Some(last) if last.0 == value => last.1 = count,
                _ => up_to.push((value, count)),
            }
        }
        Self(up_to)
    }

    fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, count)| *count)
    }

    /// The smallest value with at least the share `upto` of the samples at or below it.
    fn at(&self, upto: f64) -> f64 {
        /// A product of shares and counts is off by less.
        const ROUNDING: f64 = 1e-9;
        let wanted = (upto * self.count() * (1.0 - ROUNDING)).ceil();
        let index = self.0.partition_point(|(_, count)| *count < wanted);
        let last = self.0.len().saturating_sub(1);
        self.0.get(index.min(last)).map_or(0.0, |(value, _)| *value)
    }
}

impl Figure for Quantile {
    fn value(&self) -> f64 {
        self.value
    }

    fn freedom(&self) -> f64 {
        self.share.freedom()
    }

    /// More samples above it than observed would put the quantile lower.
    fn lower(&self, critical: Critical) -> f64 {
        let above = self.share.upper_of(self.above, critical);
        self.samples.at(1.0 - above).min(self.value)
    }

    /// Infinite with so few trials that even the largest sample may be below the quantile.
    fn upper(&self, critical: Critical) -> f64 {
        let needed = samples_needed(1.0 - self.above, critical.tail);
        if self.share.certain(critical) < needed as f64 {
            return f64::INFINITY;
        }
        self.upper_seen(critical)
    }

    fn upper_seen(&self, critical: Critical) -> f64 {
        let above = self.share.lower_of(self.above, critical);
        self.samples.at(1.0 - above).max(self.value)
    }
}

impl Quantile {
    /// How many independent samples would be as certain, at an error of `tail`.
    #[must_use]
    pub fn certain(&self, tail: f64) -> f64 {
        self.share
            .certain(Critical::new(tail, self.share.freedom()))
    }
}

/// How the figures of a phase are expected to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// They stay level: whatever moves is noise.
    Level,
    /// They may rise or fall all the time, as in aging: a straight line is no noise.
    Trending,
}

impl Course {
    fn share(self, intervals: &[(f64, f64)]) -> Option<Share> {
        match self {
            Self::Level => Share::new(intervals),
            Self::Trending => Share::trending(intervals),
        }
    }
}

/// Quantiles of a side; `None` with too few intervals or no samples.
fn quantiles<const N: usize>(
    intervals: &[Vec<(f64, f64)>],
    levels: [f64; N],
    course: Course,
) -> Option<[Quantile; N]> {
    let samples = Rc::new(Samples::new(intervals));
    let of = |level: f64| {
        let value = samples.at(level);
        let share = |is_above: &dyn Fn(f64) -> bool| {
            let each: Vec<(f64, f64)> = intervals
                .iter()
                .map(|interval| {
                    interval
                        .iter()
                        .fold((0.0, 0.0), |(above, all), (one, times)| {
                            let counts = f64::from(u8::from(is_above(*one)));
                            (above + counts * times, all + times)
                        })
                })
                .collect();
            course.share(&each)
        };
        // Where many samples are equal, those above may be few, and those at the quantile a cluster.
        let (above, from) = (share(&|one| one > value)?, share(&|one| one >= value)?);
        Some(Quantile {
            samples: Rc::clone(&samples),
            above: 1.0 - level,
            value,
            share: above.less_certain(from),
        })
    };
    let filled = intervals.iter().filter(|one| !one.is_empty()).count();
    if filled < MIN_INTERVALS {
        return None;
    }
    let all: Vec<Quantile> = levels.into_iter().filter_map(of).collect();
    all.try_into().ok()
}

/// Compares quantiles of what intervals recorded, in two phases of one course. `None` with too few intervals.
#[must_use]
pub fn compare_quantiles<const N: usize>(
    before: &[Recorded],
    after: &[Recorded],
    levels: [f64; N],
    course: Course,
) -> Option<[Comparison<Quantile>; N]> {
    let side = |recorded: &[Recorded]| {
        let interval = |one: &Recorded| {
            let values = one.iter();
            values
                .map(|(value, times)| (*value as f64, *times as f64))
                .collect()
        };
        let intervals: Vec<Vec<(f64, f64)>> = recorded.iter().map(interval).collect();
        quantiles(&intervals, levels, course)
    };
    let (before, after) = (side(before)?, side(after)?);
    let compared: Vec<_> = before
        .into_iter()
        .zip(after)
        .map(|(before, after)| Comparison::new(before, after))
        .collect();
    compared.try_into().ok()
}

/// Compares the medians of two series of levels of one course. `None` with too few values.
#[must_use]
pub fn compare_medians(
    before: &[f64],
    after: &[f64],
    course: Course,
) -> Option<Comparison<Quantile>> {
    let side = |values: &[f64]| {
        let intervals: Vec<_> = values.iter().map(|value| vec![(*value, 1.0)]).collect();
        let [median] = quantiles(&intervals, [0.5], course)?;
        Some(median)
    };
    Some(Comparison::new(side(before)?, side(after)?))
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn seconds(count: usize, mean: f64, random: &mut Xoshiro256PlusPlus) -> Vec<Recorded> {
        let mut second = || {
            let mut histogram = Histogram::new(3).unwrap();
            for _ in 0..40 {
                // Exponential, as service times roughly are.
                let draw: f64 = random.random_range(1e-9..1.0);
                histogram.record((-draw.ln() * mean) as u64 + 1).unwrap();
            }
            recorded(&histogram)
        };
        (0..count).map(|_| second()).collect()
    }

    #[test]
    fn distribution_free_bounds_need_459_samples_for_p99_and_90_for_p95() {
        assert_eq!(samples_needed(0.99, 0.01), 459);
        assert_eq!(samples_needed(0.95, 0.01), 90);
        assert_eq!(samples_needed(0.5, 0.01), 7);
    }

    #[test]
    fn doubling_is_told_from_nothing() {
        let (mut alarms, mut found) = (0, 0);
        const RUNS: u64 = 60;
        for seed in 0..RUNS {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
            let mut seconds = |mean: f64| seconds(20, mean, &mut random);
            let (base, same, double) = (seconds(10_000.0), seconds(10_000.0), seconds(20_000.0));
            let low = |after: &[_]| {
                let [compared] = compare_quantiles(&base, after, [0.95], Course::Level).unwrap();
                compared.lower(1.25, 0.01)
            };
            alarms += u32::from(low(&same) > 0.0);
            found += u32::from(low(&double) > 0.0);
        }
        assert_eq!(alarms, 0);
        assert!(found >= 58, "found {found} of {RUNS}");
    }

    #[test]
    fn interval_is_wider_for_alike_neighbours_and_for_few_samples() {
        let width = |values: &[u64]| {
            let intervals: Vec<Recorded> = values.iter().map(|value| vec![(*value, 40)]).collect();
            let [one] = compare_quantiles(&intervals, &intervals, [0.5], Course::Level).unwrap();
            let ratio = one.ratio(0.025);
            ratio.high / ratio.low
        };
        let mixed: Vec<u64> = (0..80).map(|second| 100 + second * 37 % 80).collect();
        let mut sorted = mixed.clone();
        sorted.sort_unstable();
        assert!(width(&sorted) > width(&mixed));
        assert!(width(&mixed[..16]) > width(&mixed));
        assert_eq!(width(&[100; 80]), 1.0);
    }

    /// The slow samples are of one second, all equal: nobody knows how many a longer phase would have.
    #[test]
    fn a_cluster_of_equal_samples_proves_nothing() {
        let calm = vec![vec![(4, 100)]; 8];
        let mut once = calm.clone();
        once[0] = vec![(4, 40), (1000, 60)];
        let often = vec![vec![(4, 90), (1000, 10)]; 8];
        let lower = |after: &[Recorded]| {
            let [p95] = compare_quantiles(&calm, after, [0.95], Course::Level).unwrap();
            assert_eq!(p95.value().1, 1000.0);
            p95.lower(1.25, 0.01)
        };
        assert!(lower(&once) < 0.0);
        assert!(lower(&often) > 900.0);
    }

    #[test]
    fn a_steady_rise_is_doubt_of_a_level_figure_and_not_of_a_trending_one() {
        let rising: Vec<Recorded> = (0..40)
            .map(|second| vec![(100 + second * 10, 40)])
            .collect();
        let flat = vec![vec![(90, 40), (110, 40)]; 40];
        let lower = |course| {
            let [p50] = compare_quantiles(&flat, &rising, [0.5], course).unwrap();
            p50.lower(1.0, 0.005)
        };
        assert!(lower(Course::Trending) > lower(Course::Level) + 30.0);
    }

    #[test]
    fn medians_of_levels_have_a_ratio_and_few_values_have_none() {
        let before: Vec<f64> = (0..30).map(|second| 9.0 + f64::from(second % 3)).collect();
        let compared = compare_medians(&before, &[30.0; 30], Course::Trending).unwrap();
        let ratio = compared.ratio(0.025);
        assert_eq!(ratio.value, 3.0);
        assert!(ratio.low > 2.0 && ratio.high < 4.0, "{ratio:?}");
        assert!(compare_medians(&[1.0; 4], &[1.0; 9], Course::Level).is_none());
        let few = vec![vec![(1, 10)]; 4];
        let enough = vec![vec![(1, 10)]; 9];
        assert!(compare_quantiles(&few, &enough, [0.5], Course::Level).is_none());
        let empty = vec![Vec::new(); 9];
        assert!(compare_quantiles(&enough, &empty, [0.5], Course::Level).is_none());
    }
}
