//! What a run has shown: the timeline of what was measured, the recycles in it, the checks with their statistics, and
//! the reports.
//!
//! Data flows from [`timeline`] through [`recycle`] and [`judge`] to [`report`], never back. The crate knows no network, no
//! device and no clock: a run that is over can be judged by it alone.

pub mod judge;
pub mod recycle;
pub mod report;
pub mod timeline;
