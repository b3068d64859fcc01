//! Scenario files, played by the built program in real time. A binary of its own: cargo runs test
//! binaries one after the other, so nothing but these loads is on the machine whose latencies the
//! verdicts are about.

mod agreement;
#[path = "../record/mod.rs"]
mod record;
mod scenarios;
