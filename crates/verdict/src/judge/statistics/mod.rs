//! The statistics of the verdict. Nothing is drawn at random: the same run always gets the same
//! intervals. What dependence between neighbouring seconds does to them is measured by batch means
//! ([`batches`]); quantiles, shares and mean waits all get their variance from there, and two sides are
//! combined in one place ([`comparison`]).

mod batches;
mod comparison;
mod distributions;
mod levels;
mod power;
mod quantiles;
mod several;
mod shares;
mod waits;

pub use comparison::{Comparison, Estimate, Figure};
pub use levels::{median, noise, upper_decile};
pub use power::{PlannedSide, detectable, measurable, provable};
pub use quantiles::{
    Course, Quantile, Recorded, compare_medians, compare_quantiles, recorded, samples_needed,
};
pub use several::{ALARM, proven};
pub use shares::Share;
pub use waits::{Wait, Waited, compare_waits};

/// Fewer intervals on either side say nothing.
const MIN_INTERVALS: usize = 5;

/// Share of an interval for people that lies above it, and below: 95 % are inside.
pub const SHOWN: f64 = 0.025;
