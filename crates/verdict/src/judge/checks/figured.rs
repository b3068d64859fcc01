//! A figure against its limit, with the doubt about it.

use super::*;

/// Whether the service gets worse by the plan's factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worse {
    /// It does not.
    No,
    /// It did in what was measured, perhaps by chance.
    Unproven,
    /// It does.
    Proven,
}

/// A figure that must not be above its limit.
pub(super) struct Figured<'b> {
    /// In words.
    pub(super) text: String,
    /// Whether what was measured is above the limit, proven or not.
    pub(super) exceeds: bool,
    /// Whether it is proven to be above its limit, with this error.
    pub(super) is_beyond: Box<dyn Fn(f64) -> bool + 'b>,
    /// Whether it is proven to be within its limit.
    pub(super) is_within: bool,
    /// Why nothing can prove it to be within its limit, if so. It does not count then, unless it is beyond.
    pub(super) unjudged: Option<Unjudged>,
    /// How many times longer the phases must be to prove one or the other.
    pub(super) times_longer: f64,
}

/// A figure that too little was measured of.
pub(super) struct Unjudged {
    /// Its name: `Sync p99`.
    pub(super) name: String,
    /// How little.
    pub(super) why: String,
}

impl Figured<'_> {
    /// Whether it shows that the service is worse, with this error; `None` if it does not speak for it.
    pub(super) fn worse(&self, tail: f64) -> Option<Worse> {
        if (self.is_beyond)(tail) {
            Some(Worse::Proven)
        } else {
            self.exceeds.then_some(Worse::Unproven)
        }
    }
}

/// A limit that has two parts: a share that nobody notices, and a multiple of what was before.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    /// What nobody notices.
    pub(super) unnoticed: f64,
    /// Times what was before.
    pub(super) factor: f64,
}

/// A figure is within if one of two bounds is, so each may be wrong with half of the whole error.
pub(super) const EITHER: f64 = ALARM / 2.0;

/// A figure that is above the limit if it is above both of its parts, and within if it is within one of them.
pub(super) fn figured<'b, F: Figure + 'b>(
    compared: Comparison<F>,
    limit: Limit,
    text: String,
) -> Figured<'b> {
    let Limit { unnoticed, factor } = limit;
    let (before, after) = compared.value();
    let (is_noticed, is_more) = (after > unnoticed, after > factor * before);
    let longer = (
        compared.after_times_longer(unnoticed, EITHER),
        compared.times_longer(factor, 0.0, EITHER),
    );
    // Above both parts it must be proven to be above both, else to be within one of those that it is within.
    let longer = match (is_noticed, is_more) {
        (true, true) => longer.0.max(longer.1),
        (false, false) => longer.0.min(longer.1),
        (true, false) => longer.1,
        (false, true) => longer.0,
    };
    Figured {
        text,
        exceeds: is_noticed && is_more,
        is_within: compared.after_upper(EITHER) <= unnoticed
            || compared.upper(factor, EITHER) <= 0.0,
        unjudged: None,
        times_longer: longer,
        is_beyond: Box::new(move |tail| {
            compared.after_lower(tail) > unnoticed && compared.lower(factor, tail) > 0.0
        }),
    }
}
