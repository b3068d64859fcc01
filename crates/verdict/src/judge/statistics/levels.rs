//! Plain statistics of levels, and by how much they differ by chance.

use std::f64::consts::FRAC_PI_2;

use super::MIN_INTERVALS;
use super::batches::{Batched, Part};
use super::distributions::student;

/// The median; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], upper)
    } else {
        upper
    })
}

/// The value that a tenth of all is at or above; `None` of nothing.
#[must_use]
pub fn upper_decile(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(values.len() * 9 / 10).copied()
}

/// By how much the median of `length` later values exceeds the mean of `calm` ones by chance: more than that
/// has probability `tail`. The calm phase is the yardstick. It is the interval that predicts a further block of
/// that length, with the variance by batch means and that of a median. 0 with too few calm values.
///
/// A count of stranded requests contains all earlier ones, so the interval of a fitted slope would be far too
/// narrow. What is compared here are two levels, with the noise of the phase in which nothing gathers.
#[must_use]
pub fn noise(calm: &[f64], length: usize, tail: f64) -> f64 {
    if calm.len() < MIN_INTERVALS {
        return 0.0;
    }
    let parts: Vec<Part> = calm
        .iter()
        .map(|amount| Part {
            amount: *amount,
            of: 1.0,
        })
        .collect();
    let Some(batched) = Batched::new(&parts) else {
        return 0.0;
    };
    let blocks = calm.len() as f64 / length.max(1) as f64;
    student(tail, batched.freedom) * (batched.variance * (1.0 + FRAC_PI_2 * blocks)).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::{Rng as _, SeedableRng as _};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn median_and_upper_decile_ignore_order() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(upper_decile(&[]), None);
        let ten: Vec<f64> = (0..10).rev().map(f64::from).collect();
        assert_eq!(upper_decile(&ten), Some(9.0));
    }

    /// A level with noise that is alike from second to second.
    fn level(seconds: usize, memory: f64, random: &mut Xoshiro256PlusPlus) -> Vec<f64> {
        let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let mut now = normal();
        (0..seconds)
            .map(|_| {
                now = memory * now + (1.0 - memory * memory).sqrt() * normal();
                now
            })
            .collect()
    }

    /// Found in 400 levels each: 5, 5 and 2 alarms; 400, 400 and 397 of those that rise by six deviations.
    #[test]
    fn levels_that_do_not_rise_are_within_the_noise_and_those_that_rise_are_not() {
        const RUNS: u64 = 400;
        /// At 1 % as many alarms or more have a probability of less than 0.1 %.
        const TOO_MANY: u64 = 12;
        const END: usize = 5;
        for (baseline, memory) in [(20, 0.0), (20, 0.3), (60, 0.6)] {
            let rises = |by: f64| {
                let rises = |seed: &u64| {
                    let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
                    let all = level(baseline + 40, memory, &mut random);
                    let calm = &all[..baseline];
                    let end = median(&all[baseline + 35..]).unwrap() + by;
                    let mean = calm.iter().sum::<f64>() / calm.len() as f64;
                    end - mean > noise(calm, END, 0.01)
                };
                (0..RUNS).filter(rises).count() as u64
            };
            let (alarms, found) = (rises(0.0), rises(6.0));
            println!("{baseline} s, memory {memory}: {alarms} and {found} of {RUNS}");
            assert!(alarms < TOO_MANY, "memory {memory}: {alarms}");
            assert!(found > RUNS * 95 / 100, "memory {memory}: {found}");
        }
    }

    #[test]
    fn noise_of_nothing_or_of_a_constant_is_none() {
        assert_eq!(noise(&[], 5, 0.01), 0.0);
        assert_eq!(noise(&[1.0, 9.0, 1.0, 9.0], 5, 0.01), 0.0);
        assert_eq!(noise(&[7.0; 30], 5, 0.01), 0.0);
        let calm: Vec<f64> = (0..30).map(|second| f64::from(second % 7)).collect();
        assert!(noise(&calm, 5, 0.001) > noise(&calm, 5, 0.01));
        assert!(noise(&calm, 1, 0.01) > noise(&calm, 5, 0.01));
    }
}
