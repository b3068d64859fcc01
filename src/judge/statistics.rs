//! The statistics of the verdict. Robust ones: server measurements have outliers by nature.

use hdrhistogram::Histogram;
use rand::Rng as _;
use rand_xoshiro::Xoshiro256PlusPlus;

/// A slope with its 95 % confidence interval, in units per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    /// The median of all pairwise slopes.
    pub estimate: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Above so many points only every n-th is used: pairs grow with the square.
const MAX_POINTS: usize = 1000;
/// Fewer points have no interval worth the name.
const MIN_POINTS: usize = 8;

/// Theil–Sen slope of (seconds, value) points, with Sen's interval (normal approximation of
/// Kendall's statistic). `None` with too few points.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    let step = points.len().div_ceil(MAX_POINTS).max(1);
    let points: Vec<_> = points.iter().step_by(step).copied().collect();
    let n = points.len();
    if n < MIN_POINTS {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    for (index, (t, y)) in points.iter().enumerate() {
        for (later, value) in &points[index + 1..] {
            if later > t {
                slopes.push((value - y) / (later - t));
            }
        }
    }
    if slopes.is_empty() {
        return None;
    }
    slopes.sort_by(f64::total_cmp);
    /// Of the standard normal distribution, two-sided 95 %.
    const Z: f64 = 1.96;
    let count = n as f64;
    let spread = Z * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let pairs = slopes.len() as f64;
    let at = |rank: f64| slopes[(rank.clamp(0.0, pairs - 1.0)) as usize];
    Some(Slope {
        estimate: median_of_sorted(&slopes),
        low: at((pairs - spread) / 2.0),
        high: at((pairs + spread) / 2.0),
    })
}

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

fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    }
}

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// From all data.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Resamples of the block bootstrap: enough for stable 2.5 % tails.
const RESAMPLES: usize = 400;
/// Intervals per block. Seconds are not independent (a collection, a herd, a burst of mail lasts
/// several), blocks of this length nearly are.
const BLOCK: usize = 3;
/// Fewer intervals on either side say nothing.
const MIN_INTERVALS: usize = 5;

/// `quantile(after) − factor · quantile(before)` in microseconds, by block bootstrap over
/// one-second histograms. `None` with too few intervals or samples.
#[must_use]
pub fn bootstrap_quantile_difference(
    before: &[Histogram<u64>],
    after: &[Histogram<u64>],
    quantile: f64,
    factor: f64,
    random: &mut Xoshiro256PlusPlus,
) -> Option<Estimate> {
    if before.len() < MIN_INTERVALS || after.len() < MIN_INTERVALS {
        return None;
    }
    let (before, after) = (recorded(before), recorded(after));
    let whole = |all: &[Values]| quantile_of(all.iter(), quantile);
    let value = whole(&after)? - factor * whole(&before)?;
    let mut differences = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let b = quantile_of(resample(&before, random).into_iter(), quantile);
        let a = quantile_of(resample(&after, random).into_iter(), quantile);
        if let (Some(a), Some(b)) = (a, b) {
            differences.push(a - factor * b);
        }
    }
    if differences.is_empty() {
        return None;
    }
    differences.sort_by(f64::total_cmp);
    let at = |share: f64| differences[((differences.len() - 1) as f64 * share).round() as usize];
    Some(Estimate {
        value,
        low: at(0.025),
        high: at(0.975),
    })
}

/// What one interval recorded: values and how often they came.
type Values = Vec<(u64, u64)>;

/// Walking a histogram costs its range, so it is done once, not for each resample.
fn recorded(all: &[Histogram<u64>]) -> Vec<Values> {
    let of_one = |histogram: &Histogram<u64>| {
        let buckets = histogram.iter_recorded();
        buckets
            .map(|bucket| (bucket.value_iterated_to(), bucket.count_at_value()))
            .collect()
    };
    all.iter().map(of_one).collect()
}

/// Blocks of neighbouring intervals, drawn with replacement until there are as many.
fn resample<'a>(all: &'a [Values], random: &mut Xoshiro256PlusPlus) -> Vec<&'a Values> {
    let mut drawn = Vec::with_capacity(all.len() + BLOCK);
    while drawn.len() < all.len() {
        let start = random.random_range(0..all.len());
        // Blocks wrap around, so that the ends are drawn as often as the middle.
        drawn.extend((0..BLOCK).map(|offset| &all[(start + offset) % all.len()]));
    }
    drawn.truncate(all.len());
    drawn
}

/// A quantile of several intervals together.
fn quantile_of<'a>(all: impl Iterator<Item = &'a Values>, quantile: f64) -> Option<f64> {
    let mut values: Values = all.flatten().copied().collect();
    values.sort_unstable();
    let total: u64 = values.iter().map(|(_, count)| count).sum();
    let wanted = (total as f64 * quantile).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (value, count) in values {
        seen += count;
        if seen >= wanted {
            return Some(value as f64);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn random(seed: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(seed)
    }

    #[test]
    fn theil_sen_ignores_outliers_and_knows_its_doubt() {
        let line: Vec<_> = (0..40)
            .map(|t| {
                (
                    f64::from(t),
                    2.0 * f64::from(t) + if t % 7 == 0 { 500.0 } else { 0.0 },
                )
            })
            .collect();
        let slope = theil_sen(&line).unwrap();
        assert!((slope.estimate - 2.0).abs() < 0.2, "{slope:?}");
        assert!(slope.low > 0.0);
        assert_eq!(theil_sen(&line[..5]), None);
    }

    /// Of 200 flat, noisy series about 2.5 % may seem to rise; of 200 rising ones nearly all must.
    #[test]
    fn theil_sen_false_alarms_and_power() {
        let (mut alarms, mut found) = (0, 0);
        for seed in 0..200 {
            let mut random = random(seed);
            let mut series = |slope: f64| {
                let points: Vec<_> = (0..30)
                    .map(|t| {
                        (
                            f64::from(t),
                            slope * f64::from(t) + random.random_range(-10.0..10.0),
                        )
                    })
                    .collect();
                theil_sen(&points).unwrap().low > 0.0
            };
            alarms += u32::from(series(0.0));
            found += u32::from(series(1.0));
        }
        assert!(alarms <= 10, "{alarms} false alarms of 200");
        assert!(found >= 195, "found {found} of 200");
    }

    fn second(mean: f64, random: &mut Xoshiro256PlusPlus) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for _ in 0..40 {
            // Exponential, as service times roughly are.
            let draw: f64 = random.random_range(1e-9..1.0);
            histogram.record((-draw.ln() * mean) as u64 + 1).unwrap();
        }
        histogram
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
                bootstrap_quantile_difference(&base, after, 0.95, 1.25, random)
                    .unwrap()
                    .low
            };
            alarms += u32::from(low(&same, &mut random) > 0.0);
            found += u32::from(low(&double, &mut random) > 0.0);
        }
        assert!(alarms <= 3, "{alarms} false alarms of {RUNS}");
        assert!(found >= 54, "found {found} of {RUNS}");
    }

    #[test]
    fn too_little_says_nothing() {
        let mut random = random(1);
        let few: Vec<_> = (0..4).map(|_| second(1e4, &mut random)).collect();
        let enough: Vec<_> = (0..9).map(|_| second(1e4, &mut random)).collect();
        assert!(bootstrap_quantile_difference(&few, &enough, 0.5, 1.0, &mut random).is_none());
    }
}
