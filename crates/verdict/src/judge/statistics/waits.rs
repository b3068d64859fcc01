//! Mean waits with their intervals.

use super::MIN_INTERVALS;
use super::batches::{Batched, Part};
use super::comparison::{Comparison, Figure};
use super::distributions::Critical;

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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    value: f64,
    /// Standard deviation of the logarithm.
    deviation: f64,
    freedom: f64,
}

impl Wait {
    fn new(intervals: &[Waited]) -> Option<Self> {
        if intervals.len() < MIN_INTERVALS {
            return None;
        }
        let mails: f64 = intervals.iter().map(|one| one.mails).sum();
        let count = intervals.len() as f64;
        let parts: Vec<Part> = intervals
            .iter()
            .map(|one| Part {
                amount: one.seconds,
                // Nothing became due: one mail, spread over all intervals.
                of: if mails < 1.0 { 1.0 / count } else { one.mails },
            })
            .collect();
        let batched = Batched::new(&parts)?;
        let value = batched.ratio();
        let deviation = batched.variance.sqrt() / value;
        Some(Self {
            value,
            deviation: if deviation.is_finite() {
                deviation
            } else {
                0.0
            },
            freedom: batched.freedom,
        })
    }
}

impl Figure for Wait {
    fn value(&self) -> f64 {
        self.value
    }

    fn freedom(&self) -> f64 {
        self.freedom
    }

    /// On the scale of logarithms, so that a wait stays above 0.
    fn lower(&self, critical: Critical) -> f64 {
        self.value / (critical.student * self.deviation).exp()
    }

    fn upper(&self, critical: Critical) -> f64 {
        self.value * (critical.student * self.deviation).exp()
    }
}

/// Compares mean waits in seconds. `None` with too few intervals.
#[must_use]
pub fn compare_waits(before: &[Waited], after: &[Waited]) -> Option<Comparison<Wait>> {
    Some(Comparison::new(Wait::new(before)?, Wait::new(after)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_who_waits_by_what_there_is_to_wait_for() {
        let side = |seconds: f64, mails: f64| vec![Waited { seconds, mails }; 20];
        let compare = |before: &[Waited], after: &[Waited]| {
            let compared = compare_waits(before, after).unwrap();
            (compared.value(), compared.lower(1.5, 0.01))
        };
        // Three times the mails, each waiting as long; and as many that wait three times as long.
        let (value, low) = compare(&side(20.0, 10.0), &side(60.0, 30.0));
        assert_eq!(value, (2.0, 2.0));
        assert!(low < 0.0);
        let (value, low) = compare(&side(20.0, 10.0), &side(60.0, 10.0));
        assert_eq!(value, (2.0, 6.0));
        assert!(low > 2.9, "{low}");
        // No mail gets in any more, and devices still wait.
        let ((_, after), low) = compare(&side(20.0, 10.0), &side(5.0, 0.0));
        assert!((after - 100.0).abs() < 1e-6, "{after}");
        assert!(low > 90.0, "{low}");
        assert_eq!(compare(&side(0.0, 10.0), &side(0.0, 0.0)).0, (0.0, 0.0));
        let few = [Waited::default(); 4];
        assert_eq!(
            compare_waits(&few, &side(1.0, 1.0)).map(|one| one.value()),
            None
        );
    }

    #[test]
    fn waits_that_vary_in_long_runs_are_uncertain() {
        let runs: Vec<Waited> = (0..60)
            .map(|second| Waited {
                seconds: if second / 20 % 2 == 0 { 10.0 } else { 30.0 },
                mails: 10.0,
            })
            .collect();
        let steady: Vec<Waited> = (0..60)
            .map(|second| Waited {
                seconds: if second % 2 == 0 { 10.0 } else { 30.0 },
                mails: 10.0,
            })
            .collect();
        let width = |side: &[Waited]| {
            let difference = compare_waits(side, side).unwrap().difference(1.0, 0.01);
            difference.high - difference.low
        };
        assert!(width(&runs) > 5.0 * width(&steady));
    }
}
