//! Quantiles of the distributions that intervals need.

use statrs::distribution::{ContinuousCDF as _, Normal, StudentsT};
use statrs::function::beta::checked_beta_reg;

/// Where `is_above` begins to hold between two values. statrs' own inverse of the incomplete beta function iterates
/// until it is exact, which need not end; this does.
fn boundary(mut low: f64, mut high: f64, is_above: impl Fn(f64) -> bool) -> f64 {
    /// Halvings: more than the digits of a number have none left to change.
    const STEPS: usize = 60;
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if is_above(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The value that a standard normal variable exceeds with probability `tail`.
pub(super) fn normal(tail: f64) -> f64 {
    Normal::standard().inverse_cdf(1.0 - tail)
}

/// The value that Student's t with `freedom` degrees of freedom exceeds with probability `tail`.
pub(super) fn student(tail: f64, freedom: f64) -> f64 {
    /// Above, the normal distribution differs by less than 0.1 %.
    const MANY: f64 = 5000.0;
    /// Student's t of one degree of freedom at a tail of one in a million is less.
    const MOST: f64 = 1e6;
    match StudentsT::new(0.0, 1.0, freedom) {
        Ok(student) if freedom < MANY && tail < 0.5 => {
            boundary(0.0, MOST, |value| student.sf(value) <= tail)
        }
        _ => normal(tail),
    }
}

/// Critical values of a bound that is missed with probability `tail`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Critical {
    /// The probability.
    pub tail: f64,
    /// Student's t.
    pub student: f64,
    /// How many samples count as certain for one sample, because the variance was estimated.
    pub doubt: f64,
}

impl Critical {
    /// By Student's t with `freedom` degrees of freedom.
    #[must_use]
    pub fn new(tail: f64, freedom: f64) -> Self {
        let student = student(tail, freedom);
        Self {
            tail,
            student,
            doubt: (normal(tail) / student).powi(2),
        }
    }
}

/// The lower Clopper–Pearson limit of a share: at this share, as many `events` or more have
/// probability `tail`. Counts need not be whole, because effective sample sizes are not.
pub(super) fn lower_share(events: f64, trials: f64, tail: f64) -> f64 {
    /// Fewer are none.
    const NO_EVENT: f64 = 0.5;
    /// More trials are as certain as so many; the incomplete beta function loses digits above.
    const MOST: f64 = 1e6;
    if !(events >= NO_EVENT && trials >= events && trials.is_finite()) {
        return 0.0;
    }
    let scale = (MOST / trials).min(1.0);
    let (a, b) = (events * scale, (trials - events) * scale + 1.0);
    let is_above = |share| checked_beta_reg(a, b, share).is_ok_and(|below| below >= tail);
    boundary(0.0, events / trials, is_above)
}

/// The upper Clopper–Pearson limit of a share.
pub(super) fn upper_share(events: f64, trials: f64, tail: f64) -> f64 {
    1.0 - lower_share(trials - events, trials, tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From printed tables.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (tail, freedom, expected) in [
            (0.005, 5.0, 4.032),
            (0.01, 7.0, 2.998),
            (0.025, 14.0, 2.145),
            (0.01, 2.0, 6.965),
            (0.025, 1e9, 1.960),
        ] {
            let found = student(tail, freedom);
            assert!((found - expected).abs() < 2e-3, "{tail} {freedom}: {found}");
        }
        assert!((normal(0.01) - 2.326).abs() < 1e-3);
        assert!((normal(0.995) + 2.576).abs() < 1e-3);
    }

    /// 4 of 400 at 1 %: 0.206 % (Clopper and Pearson), and 0 of n: 1 − tail^(1/n).
    #[test]
    fn limits_of_shares_are_exact() {
        assert!((lower_share(4.0, 400.0, 0.01) - 0.002_064).abs() < 1e-5);
        let none = upper_share(0.0, 90.0, 0.01);
        assert!(
            (none - (1.0 - 0.01_f64.powf(1.0 / 90.0))).abs() < 1e-6,
            "{none}"
        );
        assert_eq!(lower_share(0.0, 90.0, 0.01), 0.0);
        assert_eq!(upper_share(90.0, 90.0, 0.01), 1.0);
    }

    /// Effective sizes are any number; the search for a limit must end for all of them.
    #[test]
    fn limits_of_odd_counts_are_shares() {
        for (events, trials) in [
            (1e-3, 1e9),
            (0.01, 1.5),
            (0.5, 0.5),
            (5e8, 1e9),
            (0.0, 0.0),
            (2.0, 1.0),
            (f64::NAN, f64::NAN),
            (1.0, f64::INFINITY),
        ] {
            for tail in [1e-4, 0.005, 0.16] {
                for limit in [
                    lower_share(events, trials, tail),
                    upper_share(events, trials, tail),
                ] {
                    assert!((0.0..=1.0).contains(&limit), "{events} {trials}: {limit}");
                }
            }
        }
    }
}
