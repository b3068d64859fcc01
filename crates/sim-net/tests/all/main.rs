//! The network as its users see it, under a paused clock.

mod closing;
mod connecting;
mod determinism;
mod faults;
mod flow;
mod ports;
mod random;
mod support;
