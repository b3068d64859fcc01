//! The statistics of the verdict. Robust ones: server measurements have outliers by nature.

use hdrhistogram::Histogram;
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(median_of_sorted(&sorted))
}

/// The value that a tenth of all is at or above; `None` of nothing.
#[must_use]
pub fn upper_decile(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(values.len() * 9 / 10).copied()
}

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// An estimate with the interval that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// From all data.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Resamples of the block bootstrap: enough for stable tails; three lie beyond either end of a 99 % interval.
const RESAMPLES: usize = 600;
/// Intervals per block. Seconds are not independent (a collection, a herd, a burst of mail lasts
/// several), blocks of this length nearly are.
const BLOCK: usize = 3;
/// Fewer intervals on either side say nothing.
const MIN_INTERVALS: usize = 5;

/// A quantile on two sides, with what the block bootstrap says of its doubt.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Before and after, from all data.
    pub value: (f64, f64),
    /// The same of each resample.
    resamples: Vec<(f64, f64)>,
}

impl Comparison {
    /// `after − factor · before`, in the unit of the figure, with its 99 % interval.
    #[must_use]
    pub fn difference(&self, factor: f64) -> Estimate {
        self.estimate(STRICT_TAIL, |(before, after)| after - factor * before)
    }

    /// `after / before` with its 99 % interval: where a dozen figures are looked at, one in forty is
    /// beyond its 95 % interval by chance.
    #[must_use]
    pub fn strict_ratio(&self) -> Estimate {
        self.estimate(STRICT_TAIL, quotient)
    }

    /// `after / before` with its 95 % interval, for people.
    #[must_use]
    pub fn ratio(&self) -> Estimate {
        self.estimate(TAIL, quotient)
    }

    fn estimate(&self, tail: f64, of: impl Fn((f64, f64)) -> f64) -> Estimate {
        let mut all: Vec<f64> = self.resamples.iter().map(|pair| of(*pair)).collect();
        all.sort_by(f64::total_cmp);
        interval(of(self.value), &all, tail)
    }
}

/// A ratio that is finite whatever was before: from nothing to something it is the largest,
/// from nothing to nothing 1.
fn quotient((before, after): (f64, f64)) -> f64 {
    /// Any more is the same to a reader, who sees "> 1000×".
    const MOST_TIMES: f64 = 1e6;
    if before > 0.0 {
        (after / before).min(MOST_TIMES)
    } else if after > 0.0 {
        MOST_TIMES
    } else {
        1.0
    }
}

/// Share of the resamples beyond either end of an interval of 95 %, and of 99 %.
const TAIL: f64 = 0.025;
const STRICT_TAIL: f64 = 0.005;

/// The middle of sorted resamples.
fn interval(value: f64, sorted: &[f64], tail: f64) -> Estimate {
    let at = |share: f64| {
        let index = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
        sorted.get(index).copied().unwrap_or(value)
    };
    Estimate {
        value,
        low: at(tail),
        high: at(1.0 - tail),
    }
}

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

/// By how much the block bootstrap's deviations are too small for a series, from the lag-1
/// autocorrelation of what a straight line leaves of it. Excesses that outlive a block (a collector
/// under pressure, a queue that drains) make a mean vary more than resampled blocks do; the factor is
/// that of a first-order autoregressive process.
fn stretch(series: &[f64]) -> f64 {
    /// Beyond it the estimate is no more than "long".
    const MOST: f64 = 0.9;
    let n = series.len() as f64;
    let block = BLOCK as f64;
    // Few blocks vary less than what they are drawn from, and their tails are those of Student's
    // distribution (its first term at 99 %, for two sides of so many).
    let blocks = (n / block).max(2.0);
    let few = (blocks / (blocks - 1.0)).sqrt() * (1.0 + 1.0 / (blocks - 1.0));
    let (middle, mean) = ((n - 1.0) / 2.0, series.iter().sum::<f64>() / n);
    let at = |index: usize| index as f64 - middle;
    let indexed = || series.iter().enumerate();
    let slope = indexed()
        .map(|(index, y)| at(index) * (y - mean))
        .sum::<f64>()
        / indexed().map(|(index, _)| at(index).powi(2)).sum::<f64>();
    let rest: Vec<f64> = indexed()
        .map(|(index, y)| y - mean - slope * at(index))
        .collect();
    let power: f64 = rest.iter().map(|one| one * one).sum();
    if power <= f64::EPSILON {
        return few;
    }
    let raw = rest.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / power;
    // A line fitted to few points takes much of what is alike in them.
    let memory = (raw + (2.0 + 4.0 * raw.max(0.0)) / n).clamp(0.0, MOST);
    let truth = (1.0 + memory) / (1.0 - memory);
    let caught = 1.0
        + 2.0
            * (1..BLOCK)
                .map(|lag| (1.0 - lag as f64 / block) * memory.powi(lag as i32))
                .sum::<f64>();
    few * (truth / caught).max(1.0).sqrt()
}

/// A resampled value, its deviation stretched; in logarithms where there are any, so that it stays
/// above zero.
fn stretched(value: f64, drawn: f64, by: f64) -> f64 {
    if value > 0.0 && drawn > 0.0 {
        value * (drawn / value).powf(by)
    } else {
        (value + by * (drawn - value)).max(0.0)
    }
}

/// The pace of each interval that has samples: the mean of their logarithms.
fn paces(recorded: &[Recorded]) -> Vec<f64> {
    let pace = |one: &Recorded| {
        let (sum, count) = one.iter().fold((0.0, 0), |(sum, count), (value, times)| {
            let log = (*value as f64 + 1.0).ln();
            (sum + log * *times as f64, count + times)
        });
        (count > 0).then(|| sum / count as f64)
    };
    recorded.iter().filter_map(pace).collect()
}

/// Compares quantiles by block bootstrap over the histograms of intervals; all of them from the same
/// resamples, one [`Comparison`] each. `None` with too few intervals or samples.
#[must_use]
pub fn compare_quantiles<const N: usize>(
    before: &[Recorded],
    after: &[Recorded],
    quantiles: [f64; N],
    random: &mut Xoshiro256PlusPlus,
) -> Option<[Comparison; N]> {
    if before.len() < MIN_INTERVALS || after.len() < MIN_INTERVALS {
        return None;
    }
    let (pace_before, pace_after) = (paces(before), paces(after));
    if pace_before.len() < MIN_INTERVALS || pace_after.len() < MIN_INTERVALS {
        return None;
    }
    let by = (stretch(&pace_before), stretch(&pace_after));
    let (mut before, mut after) = (Samples::new(before), Samples::new(after));
    let (b, a) = (before.all(quantiles)?, after.all(quantiles)?);
    let mut compared = std::array::from_fn(|index| Comparison {
        value: (b[index], a[index]),
        resamples: Vec::with_capacity(RESAMPLES),
    });
    for _ in 0..RESAMPLES {
        if let (Some(b), Some(a)) = (
            before.resampled(quantiles, random),
            after.resampled(quantiles, random),
        ) {
            for (index, one) in compared.iter_mut().enumerate() {
                one.resamples.push((
                    stretched(one.value.0, b[index], by.0),
                    stretched(one.value.1, a[index], by.1),
                ));
            }
        }
    }
    Some(compared)
}

/// Compares the medians of two series of levels by block bootstrap: `after / before`, and the
/// medians themselves. `None` with too few values.
#[must_use]
pub fn compare_medians(
    before: &[f64],
    after: &[f64],
    random: &mut Xoshiro256PlusPlus,
) -> Option<Comparison> {
    if before.len() < MIN_INTERVALS || after.len() < MIN_INTERVALS {
        return None;
    }
    let value = (median(before)?, median(after)?);
    let draw = |all: &[f64], random: &mut Xoshiro256PlusPlus| {
        let drawn: Vec<f64> = resample(all, random).into_iter().copied().collect();
        median(&drawn)
    };
    let by = (stretch(before), stretch(after));
    let resamples: Vec<(f64, f64)> = (0..RESAMPLES)
        .filter_map(|_| {
            Some((
                stretched(value.0, draw(before, random)?, by.0),
                stretched(value.1, draw(after, random)?, by.1),
            ))
        })
        .collect();
    (!resamples.is_empty()).then_some(Comparison { value, resamples })
}

/// What was waited for in an interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Waited {
    /// Seconds times mails.
    pub seconds: f64,
    /// Mails that became due.
    pub mails: f64,
}

/// The mean wait for a mail in seconds, by Little's law: how many are due at a time, by how many become due
/// in that time. Without any it is all that was waited.
fn mean_wait<'a>(intervals: impl IntoIterator<Item = &'a Waited>) -> f64 {
    let (seconds, mails) = intervals
        .into_iter()
        .fold((0.0, 0.0), |(seconds, mails), one| {
            (seconds + one.seconds, mails + one.mails)
        });
    seconds / f64::max(mails, 1.0)
}

/// Compares mean waits in seconds by block bootstrap. `None` with too few intervals.
#[must_use]
pub fn compare_waits(
    before: &[Waited],
    after: &[Waited],
    random: &mut Xoshiro256PlusPlus,
) -> Option<Comparison> {
    if before.len() < MIN_INTERVALS || after.len() < MIN_INTERVALS {
        return None;
    }
    let levels = |side: &[Waited]| -> Vec<f64> { side.iter().map(|one| one.seconds).collect() };
    let by = (stretch(&levels(before)), stretch(&levels(after)));
    let value = (mean_wait(before), mean_wait(after));
    let resamples = (0..RESAMPLES)
        .map(|_| {
            let b = mean_wait(resample(before, random));
            let a = mean_wait(resample(after, random));
            (stretched(value.0, b, by.0), stretched(value.1, a, by.1))
        })
        .collect();
    Some(Comparison { value, resamples })
}

/// What intervals recorded, so that a resample costs what is in it: no histogram is walked and
/// nothing is sorted twice.
struct Samples {
    /// Every value that occurs, sorted.
    values: Vec<u64>,
    /// Of each interval: which value, how often.
    intervals: Vec<Vec<(usize, u64)>>,
    /// Counts of a resample, by value.
    counts: Vec<u64>,
}

impl Samples {
    fn new(recorded: &[Recorded]) -> Self {
        let mut values: Vec<u64> = recorded.iter().flatten().map(|(value, _)| *value).collect();
        values.sort_unstable();
        values.dedup();
        let index = |value: u64| values.binary_search(&value).unwrap_or_else(|index| index);
        let intervals = recorded
            .iter()
            .map(|one| {
                one.iter()
                    .map(|(value, count)| (index(*value), *count))
                    .collect()
            })
            .collect();
        Self {
            counts: vec![0; values.len()],
            values,
            intervals,
        }
    }

    /// Quantiles of everything.
    fn all<const N: usize>(&mut self, quantiles: [f64; N]) -> Option<[f64; N]> {
        self.quantiles(quantiles, &vec![1; self.intervals.len()])
    }

    fn resampled<const N: usize>(
        &mut self,
        quantiles: [f64; N],
        random: &mut Xoshiro256PlusPlus,
    ) -> Option<[f64; N]> {
        let every: Vec<usize> = (0..self.intervals.len()).collect();
        // A third of the intervals is in no resample: to add each once is cheaper.
        let mut times = vec![0; every.len()];
        for interval in resample(&every, random) {
            times[*interval] += 1;
        }
        self.quantiles(quantiles, &times)
    }

    /// Quantiles (in rising order) of the intervals together, each so many times.
    fn quantiles<const N: usize>(
        &mut self,
        quantiles: [f64; N],
        times: &[u64],
    ) -> Option<[f64; N]> {
        self.counts.fill(0);
        let mut total = 0;
        let drawn = self
            .intervals
            .iter()
            .zip(times)
            .filter(|(_, times)| **times > 0);
        for (interval, times) in drawn {
            for (index, count) in interval {
                self.counts[*index] += count * times;
                total += count * times;
            }
        }
        if total == 0 {
            return None;
        }
        let mut found = [0.0; N];
        let (mut seen, mut index) = (0, 0);
        for (slot, quantile) in found.iter_mut().zip(quantiles) {
            let wanted = (total as f64 * quantile).ceil().max(1.0) as u64;
            while seen + self.counts[index] < wanted && index + 1 < self.counts.len() {
                seen += self.counts[index];
                index += 1;
            }
            *slot = self.values[index] as f64;
        }
        Some(found)
    }
}

/// Blocks of neighbouring intervals, drawn with replacement until there are as many.
fn resample<'a, T>(all: &'a [T], random: &mut Xoshiro256PlusPlus) -> Vec<&'a T> {
    let mut drawn = Vec::with_capacity(all.len() + BLOCK);
    while drawn.len() < all.len() {
        let start = random.random_range(0..all.len());
        // Blocks wrap around, so that the ends are drawn as often as the middle.
        drawn.extend((0..BLOCK).map(|offset| &all[(start + offset) % all.len()]));
    }
    drawn.truncate(all.len());
    drawn
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn random(seed: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(seed)
    }

    fn second(mean: f64, random: &mut Xoshiro256PlusPlus) -> Recorded {
        let mut histogram = Histogram::new(3).unwrap();
        for _ in 0..40 {
            // Exponential, as service times roughly are.
            let draw: f64 = random.random_range(1e-9..1.0);
            histogram.record((-draw.ln() * mean) as u64 + 1).unwrap();
        }
        recorded(&histogram)
    }

    #[test]
    fn bootstrap_tells_a_doubling_from_nothing() {
        let (mut alarms, mut found) = (0, 0);
        const RUNS: u64 = 60;
        for seed in 0..RUNS {
            let mut random = random(seed);
            let mut seconds = |mean: f64| {
                (0..20)
                    .map(|_| second(mean, &mut random))
                    .collect::<Vec<_>>()
            };
            let (base, same, double) = (seconds(10_000.0), seconds(10_000.0), seconds(20_000.0));
            let low = |after: &[_], random: &mut _| {
                let compared = compare_quantiles(&base, after, [0.95], random).unwrap();
                compared[0].difference(1.25).low
            };
            alarms += u32::from(low(&same, &mut random) > 0.0);
            found += u32::from(low(&double, &mut random) > 0.0);
        }
        assert!(alarms <= 3, "{alarms} false alarms of {RUNS}");
        assert!(found >= 54, "found {found} of {RUNS}");
    }

    #[test]
    fn a_ratio_to_nothing_is_finite() {
        assert_eq!(quotient((0.0, 0.0)), 1.0);
        assert_eq!(quotient((0.0, 1e-6)), 1e6);
        assert_eq!(quotient((1e-12, 5.0)), 1e6);
        assert_eq!(quotient((2.0, 0.0)), 0.0);
        assert_eq!(quotient((2.0, 3.0)), 1.5);
    }

    #[test]
    fn a_ratio_has_its_interval() {
        let mut random = random(3);
        let mut seconds = |mean: f64| {
            (0..20)
                .map(|_| second(mean, &mut random))
                .collect::<Vec<_>>()
        };
        let (base, double) = (seconds(10_000.0), seconds(20_000.0));
        let ratio = compare_quantiles(&base, &double, [0.5], &mut random).unwrap()[0].ratio();
        assert!(
            ratio.low < 2.0 && ratio.high > 2.0 && ratio.low > 1.5,
            "{ratio:?}"
        );
        let levels = compare_medians(&[10.0, 11.0, 9.0, 10.0, 10.0], &[30.0; 6], &mut random);
        assert_eq!(levels.unwrap().ratio().value, 3.0);
    }

    #[test]
    fn a_wait_is_who_waits_by_what_there_is_to_wait_for() {
        let mut random = random(4);
        let side = |seconds: f64, mails: f64| vec![Waited { seconds, mails }; 20];
        let mut compare = |before: &[Waited], after: &[Waited]| {
            let compared = compare_waits(before, after, &mut random).unwrap();
            (compared.value, compared.difference(1.5).low)
        };
        // Three times the mails, each waiting as long; and as many that wait three times as long.
        let (value, low) = compare(&side(20.0, 10.0), &side(60.0, 30.0));
        assert_eq!(value, (2.0, 2.0));
        assert!(low < 0.0);
        let (value, low) = compare(&side(20.0, 10.0), &side(60.0, 10.0));
        assert_eq!(value, (2.0, 6.0));
        assert!(low > 2.9, "{low}");
        // No mail gets in any more, and devices still wait.
        let (value, low) = compare(&side(20.0, 10.0), &side(5.0, 0.0));
        assert_eq!(value, (2.0, 100.0));
        assert!(low > 90.0, "{low}");
        assert_eq!(compare(&side(0.0, 10.0), &side(0.0, 0.0)).0, (0.0, 0.0));
        let few = [Waited::default(); 4];
        assert_eq!(compare_waits(&few, &side(1.0, 1.0), &mut random), None);
    }

    #[test]
    fn what_is_alike_and_what_is_few_is_stretched() {
        let flat = stretch(&[3.0; 60]);
        assert!((1.0..1.15).contains(&flat), "{flat}");
        // A trend is no memory, runs are, and few blocks are uncertain whatever they show.
        let line: Vec<f64> = (0..60).map(f64::from).collect();
        assert_eq!(stretch(&line), flat);
        let runs: Vec<f64> = (0..60).map(|t| f64::from(t / 10 % 2)).collect();
        assert!(stretch(&runs) > 2.0 * flat);
        assert!(stretch(&[1.0, 4.0, 1.0, 5.0, 2.0]) > 2.0);
        assert_eq!(stretched(10.0, 20.0, 2.0), 40.0);
        assert_eq!(stretched(10.0, 5.0, 2.0), 2.5);
        assert_eq!(stretched(0.0, 3.0, 2.0), 6.0);
        assert_eq!(stretched(3.0, 0.0, 2.0), 0.0);
    }

    #[test]
    fn too_little_says_nothing() {
        let mut random = random(1);
        let few: Vec<_> = (0..4).map(|_| second(1e4, &mut random)).collect();
        let enough: Vec<_> = (0..9).map(|_| second(1e4, &mut random)).collect();
        assert_eq!(compare_quantiles(&few, &enough, [0.5], &mut random), None);
        assert_eq!(compare_medians(&[1.0; 4], &[1.0; 9], &mut random), None);
    }
}
