//! The recycle: what triggers it, and what shows that it happened, whoever triggered it. Knows no
//! reports.

mod detect;
mod trigger;

pub use detect::{Seen, Sign, detect};
pub use trigger::{TriggerError, pull};
