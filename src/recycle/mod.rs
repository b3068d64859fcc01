//! The recycle: what triggers it, and what shows that it happened, whoever triggered it. Knows no
//! reports.

mod detect;
mod due;
pub mod policy;
mod trigger;

pub use detect::{Detector, Recycle, Seen, Sign, detect};
pub use due::{Due, Origin, due, outlook};
pub use trigger::{FailedTrigger, TriggerError, pull};
