//! Batch means: the variance of a ratio of sums over a series whose neighbours are alike.

/// Batches of each side of a comparison. Neighbouring seconds are not independent: a garbage
/// collection, a reconnecting herd or a burst of mail lasts several. Sums over batches that are much
/// longer than that are nearly independent, whatever the dependence inside them looks like. Fewer
/// batches are longer, but each costs a degree of freedom of Student's t.
pub(super) const BATCHES: usize = 8;

/// What one interval contributes to a ratio: `amount` out of `of`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Part {
    /// Numerator.
    pub(super) amount: f64,
    /// Denominator.
    pub(super) of: f64,
}

/// A ratio of sums with its variance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Batched {
    /// Sum of the numerators.
    pub(super) amount: f64,
    /// Sum of the denominators.
    pub(super) of: f64,
    /// Variance of the ratio of both.
    pub(super) variance: f64,
    /// Degrees of freedom of the variance.
    pub(super) freedom: f64,
}

/// Sums of neighbouring intervals, in at most [`BATCHES`] batches of nearly equal length.
fn batches(parts: &[Part]) -> Vec<Part> {
    let count = parts.len().min(BATCHES);
    let mut sums = vec![Part::default(); count];
    for (index, part) in parts.iter().enumerate() {
        let sum = &mut sums[index * count / parts.len()];
        sum.amount += part.amount;
        sum.of += part.of;
    }
    sums
}

impl Batched {
    /// The ratio of a series; `None` with fewer than two intervals or nothing to divide by.
    pub(super) fn new(parts: &[Part]) -> Option<Self> {
        Self::of(&batches(parts), |_| 0.0, 1.0)
    }

    /// The same of a series that may rise or fall all the time, as memory does in aging: what a straight
    /// line explains is no noise. Not for figures that should stay level, whose slow noise looks like a
    /// line, too.
    pub(super) fn trending(parts: &[Part]) -> Option<Self> {
        /// Fewer batches leave nothing beside a line.
        const LEAST: usize = 4;
        let sums = batches(parts);
        if sums.len() < LEAST {
            return Self::of(&sums, |_| 0.0, 1.0);
        }
        let plain = Self::of(&sums, |_| 0.0, 1.0)?;
        let middle = (sums.len() - 1) as f64 / 2.0;
        let at = |index: usize| index as f64 - middle;
        let (mut product, mut square) = (0.0, 0.0);
        for (index, sum) in sums.iter().enumerate() {
            product += at(index) * (sum.amount - plain.ratio() * sum.of);
            square += at(index).powi(2);
        }
        let slope = product / square;
        Self::of(&sums, |index| slope * at(index), 2.0)
    }

    /// `line` is what each batch is expected to differ by, and `fitted` how many parameters were fitted.
    fn of(sums: &[Part], line: impl Fn(usize) -> f64, fitted: f64) -> Option<Self> {
        let count = sums.len() as f64;
        let amount: f64 = sums.iter().map(|sum| sum.amount).sum();
        let of: f64 = sums.iter().map(|sum| sum.of).sum();
        if sums.len() < 2 || of <= 0.0 {
            return None;
        }
        let ratio = amount / of;
        // The ratio estimator of cluster sampling: batches need not be equally large.
        let squares: f64 = sums
            .iter()
            .enumerate()
            .map(|(index, sum)| (sum.amount - ratio * sum.of - line(index)).powi(2))
            .sum();
        Some(Self {
            amount,
            of,
            variance: count / (count - fitted) * squares / (of * of),
            freedom: count - fitted,
        })
    }

    /// The ratio.
    pub(super) fn ratio(&self) -> f64 {
        self.amount / self.of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(amounts: impl IntoIterator<Item = f64>) -> Vec<Part> {
        let amounts = amounts.into_iter();
        amounts.map(|amount| Part { amount, of: 1.0 }).collect()
    }

    #[test]
    fn variance_grows_with_the_length_of_runs() {
        let runs = |length: usize| {
            let amounts =
                (0..64).map(|second| f64::from(u8::from((second / length).is_multiple_of(2))));
            Batched::new(&parts(amounts)).unwrap()
        };
        assert_eq!(runs(1).ratio(), 0.5);
        // Batches of eight seconds average runs of four, and not those of eight.
        assert_eq!(runs(4).variance, 0.0);
        assert!(runs(8).variance > 0.01);
        assert_eq!(runs(8).freedom, 7.0);
    }

    #[test]
    fn a_line_is_no_noise_of_a_trending_series_and_runs_are() {
        let line = parts((0..64).map(f64::from));
        let (plain, trending) = (
            Batched::new(&line).unwrap(),
            Batched::trending(&line).unwrap(),
        );
        assert!(plain.variance > 1.0);
        assert!(trending.variance < 1e-9, "{trending:?}");
        assert_eq!(trending.freedom, 6.0);
        let runs = parts((0..64).map(|second| f64::from(second / 8 % 2)));
        assert!(Batched::trending(&runs).unwrap().variance > 0.01);
    }

    #[test]
    fn short_series_have_a_batch_for_each_interval_or_none_at_all() {
        assert_eq!(Batched::new(&parts([1.0, 3.0, 2.0])).unwrap().freedom, 2.0);
        assert_eq!(Batched::new(&parts([1.0])), None);
        assert_eq!(Batched::new(&[]), None);
        assert_eq!(Batched::trending(&[Part::default(); 9]), None);
    }
}
