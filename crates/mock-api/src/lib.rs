//! The mock seen from outside: what can be configured, which faults there are, and the types of its control API.
//!
//! The crate is data with its checks. It knows nothing of how the mock works, and nothing of a network.

pub mod config;
pub mod control;
pub mod fault;

pub use config::{MockConfig, Tls, Topology};
pub use fault::{Fault, FaultKind, StrandTrigger};
