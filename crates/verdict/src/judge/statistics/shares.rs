//! Shares of events, such as failing requests, with their intervals.

use super::MIN_INTERVALS;
use super::batches::{Batched, Part};
use super::comparison::{Comparison, Figure};
use super::distributions::{Critical, lower_share, upper_share};

/// A share of trials that may come in clusters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    value: f64,
    trials: f64,
    /// Independent trials that would be as certain.
    effective: f64,
    freedom: f64,
}

impl Share {
    /// Of intervals with (events, trials) each; `None` with too few intervals or no trial.
    #[must_use]
    pub fn new(intervals: &[(f64, f64)]) -> Option<Self> {
        Self::of(intervals, Batched::new)
    }

    /// The same of a series that may rise or fall all the time.
    pub(super) fn trending(intervals: &[(f64, f64)]) -> Option<Self> {
        Self::of(intervals, Batched::trending)
    }

    fn of(intervals: &[(f64, f64)], batched: fn(&[Part]) -> Option<Batched>) -> Option<Self> {
        if intervals.len() < MIN_INTERVALS {
            return None;
        }
        let part = |(events, trials): &(f64, f64)| Part {
            amount: events.min(*trials),
            of: *trials,
        };
        let parts: Vec<Part> = intervals.iter().map(part).collect();
        let batched = batched(&parts)?;
        let value = batched.ratio();
        // What independent trials would have. It is 0 if all trials ended alike: clusters cannot be seen
        // then, and the trials count as they are.
        let independent = value * (1.0 - value) / batched.of;
        let dispersion = if independent > 0.0 {
            batched.variance / independent
        } else {
            0.0
        };
        Some(Self {
            value,
            trials: batched.of,
            effective: batched.of / dispersion.max(f64::MIN_POSITIVE),
            freedom: batched.freedom,
        })
    }

    /// The one of two shares of the same trials that is less certain.
    pub(super) fn less_certain(self, other: Self) -> Self {
        if other.effective < self.effective {
            other
        } else {
            self
        }
    }

    /// Trials that count for a bound of a share: Korn and Graubard's effective number, reduced for the
    /// doubt about the dispersion, and never more than there are.
    pub(super) fn certain(&self, critical: Critical) -> f64 {
        (self.effective * critical.doubt).min(self.trials)
    }

    /// Lower Clopper–Pearson limit of `share`, which may differ from the observed one where several
    /// samples are equal.
    pub(super) fn lower_of(&self, share: f64, critical: Critical) -> f64 {
        let trials = self.certain(critical);
        lower_share(share * trials, trials, critical.tail)
    }

    /// Upper limit of `share`.
    pub(super) fn upper_of(&self, share: f64, critical: Critical) -> f64 {
        let trials = self.certain(critical);
        upper_share(share * trials, trials, critical.tail)
    }

    /// Compares two shares; `None` with too few intervals or no trial on either side.
    #[must_use]
    pub fn compare(before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<Comparison<Self>> {
        Some(Comparison::new(Self::new(before)?, Self::new(after)?))
    }
}

impl Figure for Share {
    fn value(&self) -> f64 {
        self.value
    }

    fn freedom(&self) -> f64 {
        self.freedom
    }

    fn lower(&self, critical: Critical) -> f64 {
        self.lower_of(self.value, critical)
    }

    fn upper(&self, critical: Critical) -> f64 {
        self.upper_of(self.value, critical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_bursts_are_less_certain_than_single_ones() {
        let single = Share::new(&[(2.0, 100.0); 40]).unwrap();
        let bursts: Vec<_> = (0..40)
            .map(|second| (if second % 20 == 7 { 40.0 } else { 0.0 }, 100.0))
            .collect();
        let bursts = Share::new(&bursts).unwrap();
        assert_eq!(single.value(), bursts.value());
        let width = |share: &Share| {
            share.upper(Critical::new(0.01, 7.0)) - share.lower(Critical::new(0.01, 7.0))
        };
        assert!(width(&bursts) > 3.0 * width(&single));
        assert!(
            single.lower(Critical::new(0.01, 7.0)) > 0.01
                && single.upper(Critical::new(0.01, 7.0)) < 0.03
        );
    }

    #[test]
    fn no_event_of_many_trials_has_an_upper_bound_and_of_few_none_worth_the_name() {
        let upper = |trials: f64| {
            Share::new(&[(0.0, trials); 10])
                .unwrap()
                .upper(Critical::new(0.01, 9.0))
        };
        // The rule of three, at 1 %: 4.6 of as many trials.
        assert!((upper(100.0) - 0.0046).abs() < 2e-4, "{}", upper(100.0));
        assert!(upper(0.5) > 0.5);
        let all = Share::new(&[(7.0, 5.0); 10]).unwrap();
        assert_eq!(
            (all.value(), all.upper(Critical::new(0.01, 9.0))),
            (1.0, 1.0)
        );
        assert_eq!(Share::new(&[(0.0, 0.0); 10]), None);
        assert_eq!(Share::new(&[(0.0, 10.0); 4]), None);
    }
}
