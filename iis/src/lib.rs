//! What an IIS application pool is set to: the schema's defaults, overridden by
//! `applicationPoolDefaults`, overridden by the pool's own `<add>` in applicationHost.config.
//!
//! The crate does no I/O: it takes the file's bytes.

#![forbid(unsafe_code)]

mod decode;
mod error;
mod layer;
mod read;
mod rules;
mod scan;
mod schedule;
mod settings;
mod values;
mod xml;

pub use error::{ConfigError, Problem};
pub use read::{Origin, Pool, Refused, RefusedKind, read_pool};
pub use schedule::next_due;
pub use settings::{
    Failure, IdleTimeoutAction, LoadBalancerCapabilities, PoolSettings, ProcessModel,
    RecycleReason, RecycleReasons, Recycling, SYNC_POOL, StartMode,
};
