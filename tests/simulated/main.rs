//! Whole runs in simulated worlds: the same program as in real time, in a fraction of the time, and the same
//! for the same seed.

/// As in the program: with the C library's allocator a simulation takes a sixth more time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod adversaries;
mod determinism;
mod endurance;
mod faults;
mod outside;
mod outside_only;
#[path = "../record/mod.rs"]
mod record;
mod scenarios;
mod shutdown;
mod world;
