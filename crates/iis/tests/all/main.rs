//! Tests of the crate.

mod fixtures;
mod hostile;
mod mistakes;
mod read;
mod schedule;
