//! Whole runs in simulated worlds: the same program as in real time, in a fraction of the time, and the same
//! for the same seed.

mod determinism;
mod faults;
mod levels;
mod scenarios;
mod world;
