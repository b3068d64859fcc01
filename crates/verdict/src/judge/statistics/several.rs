//! One conclusion from several figures.

/// Probability of a false alarm of a check, however many figures it looks at; and of each bound that
/// lets a check pass.
pub const ALARM: f64 = 0.01;

/// Which figures together prove that not all of `figures` are in order, by Simes' test: one figure
/// proves it at the level `ALARM / figures`, two at twice that level, and all of them at [`ALARM`].
/// Latencies of one server rise and fall together, which keeps the level (Sarkar 1998).
/// `is_beyond(index, tail)` says whether a figure's bound, missed with probability `tail`, is beyond its
/// limit.
pub fn proven(figures: usize, is_beyond: impl Fn(usize, f64) -> bool) -> Vec<bool> {
    // What is not beyond its limit at a large error is not at a smaller one.
    let mut left: Vec<usize> = (0..figures).collect();
    for count in (1..=figures).rev() {
        let tail = ALARM * count as f64 / figures as f64;
        left.retain(|index| is_beyond(*index, tail));
        if left.len() >= count {
            break;
        }
    }
    (0..figures).map(|index| left.contains(&index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_figure_of_many_needs_a_smaller_error_than_all_together() {
        let of = |errors: &[f64]| {
            let beyond = proven(errors.len(), |index, tail| errors[index] <= tail);
            beyond.into_iter().filter(|one| *one).count()
        };
        assert_eq!(of(&[0.5, 0.009, 0.6]), 0);
        assert_eq!(of(&[0.5, 0.003, 0.6]), 1);
        assert_eq!(of(&[0.009, 0.009, 0.009]), 3);
        assert_eq!(of(&[0.009, 0.009, 0.011]), 0);
        assert_eq!(of(&[0.006, 0.006, 0.5]), 2);
        assert_eq!(of(&[]), 0);
    }
}
