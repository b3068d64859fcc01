//! The recycle: what shows that it happened, whoever triggered it, and when the policy asks for it. Knows no reports.

mod detect;
mod due;
mod failed;

pub use detect::{Detector, Recycle, Seen, Sign, detect};
pub use due::{Due, PoolStart, due, outlook};
pub use failed::FailedTrigger;
