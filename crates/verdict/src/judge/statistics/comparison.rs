//! Two sides of a figure → their difference and ratio, with intervals.

use super::distributions::Critical;

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

/// A figure with an interval, never below 0.
pub trait Figure {
    /// From all data.
    fn value(&self) -> f64;
    /// Degrees of freedom of its variance.
    fn freedom(&self) -> f64;
    /// The lower bound.
    fn lower(&self, critical: Critical) -> f64;
    /// The upper bound. Infinite where too little was seen for one.
    fn upper(&self, critical: Critical) -> f64;
    /// The upper bound; the largest value that was seen, where too little was seen for a bound.
    fn upper_seen(&self, critical: Critical) -> f64 {
        self.upper(critical)
    }
}

/// A figure before and after.
#[derive(Debug, Clone)]
pub struct Comparison<F> {
    before: F,
    after: F,
    /// Half widths of both intervals at one standard deviation, for the degrees of freedom.
    deviations: (f64, f64),
}

/// Any more is the same to a reader, who sees "> 1000×".
const MOST_TIMES: f64 = 1e6;

/// A ratio that is finite whatever was before: from nothing to something it is the largest,
/// from nothing to nothing 1.
fn quotient(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        (after / before).min(MOST_TIMES)
    } else if after > 0.0 {
        MOST_TIMES
    } else {
        1.0
    }
}

/// Degrees of freedom of a sum of two independent deviations (Welch and Satterthwaite).
fn welch((a, a_freedom): (f64, f64), (b, b_freedom): (f64, f64)) -> f64 {
    let (a, b) = (a * a, b * b);
    let freedom = (a + b).powi(2) / (a * a / a_freedom + b * b / b_freedom);
    let (least, most) = (a_freedom.min(b_freedom), a_freedom + b_freedom);
    // No deviation on either side gives no number.
    if freedom.is_finite() {
        freedom.clamp(least, most)
    } else {
        least
    }
}

impl<F: Figure> Comparison<F> {
    pub(super) fn new(before: F, after: F) -> Self {
        /// Beyond one standard deviation of a normal distribution.
        const ONE: f64 = 0.1587;
        let deviation = |side: &F| {
            let critical = Critical::new(ONE, side.freedom());
            (side.upper_seen(critical) - side.lower(critical)) / 2.0
        };
        Self {
            deviations: (deviation(&before), deviation(&after)),
            before,
            after,
        }
    }

    /// Both sides.
    #[must_use]
    pub fn sides(&self) -> (&F, &F) {
        (&self.before, &self.after)
    }

    /// Both values.
    #[must_use]
    pub fn value(&self) -> (f64, f64) {
        (self.before.value(), self.after.value())
    }

    /// Lower bound of the side after alone, missed with probability `tail`.
    #[must_use]
    pub fn after_lower(&self, tail: f64) -> f64 {
        let critical = Critical::new(tail, self.after.freedom());
        self.after.lower(critical)
    }

    /// Upper bound of the side after alone.
    #[must_use]
    pub fn after_upper(&self, tail: f64) -> f64 {
        let critical = Critical::new(tail, self.after.freedom());
        self.after.upper(critical)
    }

    /// How many times longer the phase after would have to be to prove, one way or the other, whether it is
    /// above `limit`.
    #[must_use]
    pub fn after_times_longer(&self, limit: f64, tail: f64) -> f64 {
        let value = self.after.value();
        let width = if value > limit {
            value - self.after_lower(tail)
        } else {
            self.after_upper(tail) - value
        };
        (width / (value - limit)).powi(2)
    }

    /// Lower bound of `after − factor · before`, in the unit of the figure, missed with probability
    /// `tail`. Where too little was seen before for an upper bound, the largest value that was seen stands for it.
    #[must_use]
    pub fn lower(&self, factor: f64, tail: f64) -> f64 {
        let critical = Critical::new(tail, self.freedom(factor));
        let (before, after) = self.value();
        let up = factor * (self.before.upper_seen(critical) - before);
        let down = after - self.after.lower(critical);
        after - factor * before - up.hypot(down)
    }

    /// Upper bound of `after − factor · before`.
    #[must_use]
    pub fn upper(&self, factor: f64, tail: f64) -> f64 {
        let critical = Critical::new(tail, self.freedom(factor));
        let (before, after) = self.value();
        let down = factor * (before - self.before.lower(critical));
        let up = self.after.upper(critical) - after;
        after - factor * before + down.hypot(up)
    }

    /// `after − factor · before` with its bounds, each missed with probability `tail`.
    ///
    /// Both sides are combined by Zou and Donner's MOVER: each side's own, possibly skewed, interval
    /// supplies the variance near the bound that is sought. Of shares it is Newcombe's interval.
    #[must_use]
    pub fn difference(&self, factor: f64, tail: f64) -> Estimate {
        let (before, after) = self.value();
        Estimate {
            value: after - factor * before,
            low: self.lower(factor, tail),
            high: self.upper(factor, tail),
        }
    }

    /// `after / before` with its bounds, each missed with probability `tail`. As for the difference,
    /// on the scale of logarithms.
    #[must_use]
    pub fn ratio(&self, tail: f64) -> Estimate {
        let (before, after) = self.value();
        let value = quotient(before, after);
        if before <= 0.0 || after <= 0.0 {
            // 0 has no logarithm: the bounds of both sides, each missed with `tail`, are wider than needed.
            let side = |figure: &F| {
                let critical = Critical::new(tail, figure.freedom());
                (figure.lower(critical).max(0.0), figure.upper_seen(critical))
            };
            let ((before_low, before_high), (after_low, after_high)) =
                (side(&self.before), side(&self.after));
            return Estimate {
                value,
                low: quotient(before_high, after_low).min(value),
                high: quotient(before_low, after_high).max(value),
            };
        }
        let freedom = welch(
            (self.deviations.0 / before, self.before.freedom()),
            (self.deviations.1 / after, self.after.freedom()),
        );
        let critical = Critical::new(tail, freedom);
        let (before_low, before_high) = (
            self.before.lower(critical),
            self.before.upper_seen(critical),
        );
        let (after_low, after_high) = (self.after.lower(critical), self.after.upper(critical));
        let less = (after / after_low.max(0.0))
            .ln()
            .hypot((before_high / before).ln());
        let more = (after_high / after)
            .ln()
            .hypot((before / before_low.max(0.0)).ln());
        Estimate {
            value,
            low: value * (-less).exp(),
            high: (value * more.exp()).min(MOST_TIMES),
        }
    }

    /// How many times longer both phases would have to be to prove, one way or the other, whether
    /// `after − factor · before` is above `limit`. Intervals shrink with the square root of the length.
    #[must_use]
    pub fn times_longer(&self, factor: f64, limit: f64, tail: f64) -> f64 {
        let one = self.difference(factor, tail);
        let width = if one.value > limit {
            one.value - one.low
        } else {
            one.high - one.value
        };
        (width / (one.value - limit)).powi(2)
    }

    fn freedom(&self, factor: f64) -> f64 {
        welch(
            (factor * self.deviations.0, self.before.freedom()),
            (self.deviations.1, self.after.freedom()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A figure whose interval reaches as far as its critical value says.
    struct Plain(f64, f64);

    impl Figure for Plain {
        fn value(&self) -> f64 {
            self.0
        }

        fn freedom(&self) -> f64 {
            7.0
        }

        fn lower(&self, critical: Critical) -> f64 {
            self.0 - self.1 * critical.student
        }

        fn upper(&self, critical: Critical) -> f64 {
            self.0 + self.1 * critical.student
        }
    }

    #[test]
    fn difference_adds_variances_and_degrees_of_freedom() {
        let equal = Comparison::new(Plain(10.0, 3.0), Plain(20.0, 3.0)).difference(1.0, 0.025);
        // Student's t of 14 degrees of freedom at 2.5 % is 2.1448.
        let half = 2.1448 * 18.0_f64.sqrt();
        assert_eq!(equal.value, 10.0);
        assert!((equal.high - 10.0 - half).abs() < 1e-2, "{equal:?}");
        assert!((10.0 - equal.low - half).abs() < 1e-2, "{equal:?}");
        // One side without doubt: the other side's 7 degrees of freedom remain (2.3646).
        let one = Comparison::new(Plain(10.0, 0.0), Plain(20.0, 3.0)).difference(1.0, 0.025);
        assert!((one.high - 10.0 - 3.0 * 2.3646).abs() < 1e-2, "{one:?}");
        let none = Comparison::new(Plain(10.0, 0.0), Plain(20.0, 0.0)).difference(2.0, 0.025);
        assert_eq!((none.low, none.value, none.high), (0.0, 0.0, 0.0));
    }

    #[test]
    fn times_longer_is_the_square_of_what_the_interval_is_too_wide() {
        let compared = Comparison::new(Plain(10.0, 3.0), Plain(10.0, 3.0));
        let width = compared.upper(1.0, 0.01);
        for limit in [width / 2.0, -width / 2.0] {
            let times = compared.times_longer(1.0, limit, 0.01);
            assert!((times - 4.0).abs() < 1e-6, "{times}");
        }
        assert_eq!(compared.times_longer(1.0, 0.0, 0.01), f64::INFINITY);
    }

    #[test]
    fn ratio_to_nothing_is_finite() {
        assert_eq!(quotient(0.0, 0.0), 1.0);
        assert_eq!(quotient(0.0, 1e-6), 1e6);
        assert_eq!(quotient(1e-12, 5.0), 1e6);
        assert_eq!(quotient(2.0, 0.0), 0.0);
        assert_eq!(quotient(2.0, 3.0), 1.5);
        // Nothing was measured before, and it may have been as much as 3.
        let from_nothing = Comparison::new(Plain(0.0, 1.0), Plain(3.0, 0.1)).ratio(0.01);
        assert!(from_nothing.low < 1.0, "{from_nothing:?}");
        let from_surely_nothing = Comparison::new(Plain(0.0, 0.0), Plain(3.0, 0.1)).ratio(0.01);
        assert_eq!(from_surely_nothing.low, 1e6);
        for (before, after) in [(0.0, 0.0), (0.0, 3.0), (3.0, 0.0), (1.0, 1.0)] {
            // Lower bounds below 0 have no logarithm.
            let ratio = Comparison::new(Plain(before, 1.0), Plain(after, 1.0)).ratio(0.01);
            assert!(ratio.value.is_finite(), "{ratio:?}");
            assert!(!ratio.low.is_nan() && !ratio.high.is_nan(), "{ratio:?}");
        }
    }
}
