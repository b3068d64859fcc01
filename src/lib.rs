//! easload: a load and regression test harness for Exchange ActiveSync.
//!
//! The modules are rooms through which a run flows in one direction; `ARCHITECTURE.md` is the map.

pub mod bench;
pub mod cli;
mod command;
mod history;
pub mod mail;
pub mod measure;
pub mod observe;
pub mod probe;
pub mod run;
mod terminal;
pub mod trigger;
mod web;
