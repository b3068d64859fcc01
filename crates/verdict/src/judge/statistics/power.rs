//! Which change of a quantile the planned phases can detect, before anything is measured.

use super::batches::BATCHES;
use super::distributions::{lower_share, normal, student, upper_share};
use super::quantiles::samples_needed;
use super::several::ALARM;

/// What a phase is expected to give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedSide {
    /// Its length.
    pub seconds: f64,
    /// Samples of the latency.
    pub samples: f64,
}

/// Standard deviation of the pace of the assumed server: a second is 12 % slower or faster.
const PACE: f64 = 0.12;
/// By how much its variance is larger over a phase, because six tenths of an excess are left a second
/// later: (1 + 0.6) / (1 − 0.6).
const RUNS: f64 = 4.0;
/// Runs that are to detect the change: nine of ten.
const MISSED: f64 = 0.1;

impl PlannedSide {
    fn freedom(self) -> f64 {
        (BATCHES as f64).min(self.seconds.floor()).max(2.0) - 1.0
    }

    /// Whether the samples are expected to support a quantile's upper bound, so that it is judged.
    #[must_use]
    pub fn supports(self, quantile: f64) -> bool {
        self.supported(quantile) >= 1.0
    }

    /// Whether some runs are expected to judge the quantile.
    #[must_use]
    pub fn may_support(self, quantile: f64) -> bool {
        /// With half of the independent samples on average, hardly any run has enough.
        const HALF: f64 = 0.5;
        self.supported(quantile) >= HALF
    }

    /// How many of the independent samples that a quantile needs there are expected to be.
    fn supported(self, quantile: f64) -> f64 {
        self.trials(quantile, ALARM, self.freedom()) / samples_needed(quantile, ALARM) as f64
    }

    /// How many independent samples are as certain, where latencies are exponential and the pace varies by [`PACE`].
    fn trials(self, quantile: f64, tail: f64, freedom: f64) -> f64 {
        let above = 1.0 - quantile;
        // The share of samples above the quantile changes by so much with the logarithm of the pace.
        let steepness = above * -above.ln();
        let pace = PACE * PACE * RUNS / self.seconds.max(1.0);
        let dispersion = 1.0 + self.samples * steepness.powi(2) * pace / (above * quantile);
        let doubt = (normal(tail) / student(tail, freedom)).powi(2);
        (self.samples / dispersion * doubt).min(self.samples)
    }

    /// Logarithms of the quantile's bounds, below and above it.
    fn widths(self, quantile: f64, tail: f64, freedom: f64) -> (f64, f64) {
        let above = 1.0 - quantile;
        let depth = -above.ln();
        let trials = self.trials(quantile, tail, freedom);
        let few = lower_share(above * trials, trials, tail);
        let many = upper_share(above * trials, trials, tail);
        ((depth / -many.ln()).ln(), (-few.ln() / depth).ln())
    }
}

/// The smallest ratio of a quantile after and before that nine of ten runs prove to be above `factor`,
/// with the error `tail`. Infinite where the samples are too few.
#[must_use]
pub fn detectable(
    before: PlannedSide,
    after: PlannedSide,
    quantile: f64,
    factor: f64,
    tail: f64,
) -> f64 {
    let freedom = before.freedom() + after.freedom();
    let (_, up) = before.widths(quantile, tail, freedom);
    let (down, _) = after.widths(quantile, tail, freedom);
    let width = up.hypot(down);
    let ratio = factor * (width * (1.0 + normal(MISSED) / student(tail, freedom))).exp();
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}

/// The smallest ratio of a quantile after and before that is measured as at least `factor` in nine of ten runs.
#[must_use]
pub fn measurable(before: PlannedSide, after: PlannedSide, quantile: f64, factor: f64) -> f64 {
    let freedom = before.freedom() + after.freedom();
    let (_, up) = before.widths(quantile, ALARM, freedom);
    let (down, _) = after.widths(quantile, ALARM, freedom);
    let ratio = factor * (up.hypot(down) * normal(MISSED) / student(ALARM, freedom)).exp();
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}

/// By how many times a quantile of the baseline the bound of the quantile after is above it in nine of ten runs of a
/// server that is exactly as fast as before: a limit that is not as far away is not proven to be met. `figures` are
/// judged, and all of them have to pass.
#[must_use]
pub fn provable(
    before: PlannedSide,
    after: PlannedSide,
    quantile: f64,
    factor: f64,
    figures: usize,
) -> f64 {
    let freedom = before.freedom() + after.freedom();
    let (down, _) = before.widths(quantile, ALARM, freedom);
    let (_, up) = after.widths(quantile, ALARM, freedom);
    let width = (factor * (1.0 - (-down).exp())).hypot(up.exp_m1());
    let missed = MISSED / figures.max(1) as f64;
    let excess = width * (1.0 + normal(missed) / student(ALARM, freedom));
    if excess.is_nan() {
        f64::INFINITY
    } else {
        excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_phases_and_more_samples_detect_smaller_changes() {
        let of = |seconds: f64, rate: f64, quantile| {
            let side = PlannedSide {
                seconds,
                samples: seconds * rate,
            };
            detectable(side, side, quantile, 1.25, 0.01)
        };
        assert!(of(20.0, 40.0, 0.95) < 2.2, "{}", of(20.0, 40.0, 0.95));
        assert!(of(300.0, 40.0, 0.95) < 1.5, "{}", of(300.0, 40.0, 0.95));
        assert!(of(20.0, 40.0, 0.95) < of(20.0, 10.0, 0.95));
        assert!(of(20.0, 40.0, 0.95) < of(20.0, 40.0, 0.99));
        assert!(of(1e6, 40.0, 0.5) > 1.25);
        for quantile in [0.5, 0.95, 0.99] {
            assert!(of(5.0, 0.1, quantile) > 3.0);
            assert!(!of(0.0, 0.0, quantile).is_nan());
        }
    }

    #[test]
    fn longer_phases_prove_smaller_limits_to_be_met() {
        let of = |seconds: f64, rate: f64, quantile| {
            let side = PlannedSide {
                seconds,
                samples: seconds * rate,
            };
            provable(side, side, quantile, 1.25, 1)
        };
        assert!(of(20.0, 40.0, 0.5) > 0.25);
        assert!(of(600.0, 40.0, 0.5) < 0.25, "{}", of(600.0, 40.0, 0.5));
        assert!(of(20.0, 40.0, 0.99) > of(20.0, 40.0, 0.95));
        assert!(of(20.0, 40.0, 0.95) > of(20.0, 80.0, 0.95));
        assert!(!of(0.0, 0.0, 0.99).is_nan());
        let side = PlannedSide {
            seconds: 60.0,
            samples: 2400.0,
        };
        let together = |figures| provable(side, side, 0.95, 1.25, figures);
        assert!(together(6) > together(1));
    }

    /// 459 independent samples support a p99, and of those of a phase some depend on each other.
    #[test]
    fn a_quantile_needs_more_samples_than_independent_ones() {
        let supports = |samples: f64, quantile| {
            let side = PlannedSide {
                seconds: 20.0,
                samples,
            };
            side.supports(quantile)
        };
        assert!(!supports(459.0, 0.99) && !supports(800.0, 0.99) && supports(1600.0, 0.99));
        assert!(!supports(90.0, 0.95) && supports(800.0, 0.95));
        assert!(supports(100.0, 0.5));
    }
}
