//! The mock seen from outside: what can be configured, which faults there are, and its control API.
//!
//! The crate is data with its checks. It knows nothing of how the mock works. With the feature `client` it has a typed
//! client of the control API.

#[cfg(feature = "client")]
mod client;
pub mod config;
pub mod control;
pub mod fault;

#[cfg(feature = "client")]
pub use client::{Control, ControlError, plain_http};
pub use config::{MockConfig, Tls, Topology};
pub use fault::{Fault, FaultKind, StrandTrigger};
