//! What an IIS application pool is set to: the schema's defaults, overridden by
//! `applicationPoolDefaults`, overridden by the pool's own `<add>` in applicationHost.config.
//!
//! [`policy`] says what the settings mean for devices that hold Pings, and what is wrong with them.
//!
//! The crate does no I/O: it takes the file's bytes.

#![forbid(unsafe_code)]

mod decode;
mod error;
mod layer;
pub mod policy;
mod pool;
mod read;
mod rules;
mod scan;
mod schedule;
mod settings;
mod values;
mod xml;

pub use error::{ConfigError, Problem};
pub use pool::{Origin, Pool, Refused, RefusedKind};
pub use read::read_pool;
pub use schedule::next_due;
pub use settings::{
    Failure, IdleTimeoutAction, LoadBalancerCapabilities, PoolSettings, ProcessModel,
    RecycleReason, RecycleReasons, Recycling, SYNC_POOL, StartMode,
};
