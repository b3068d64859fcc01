//! easload: a load and regression test harness for Exchange ActiveSync.
//!
//! The modules are rooms through which a run flows in one direction; `ARCHITECTURE.md` is the map.

pub mod bench;
pub mod cli;
mod command;
pub mod device;
pub mod discover;
pub mod fleet;
pub mod judge;
mod lock;
pub mod mail;
pub mod measure;
pub mod observe;
pub mod probe;
pub mod recycle;
pub mod report;
pub mod run;
pub mod scenario;
mod terminal;
mod text;
pub mod transport;
