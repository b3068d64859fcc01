//! Exchange and IIS in miniature: holds Pings, strands them by real means, recycles its worker.
//!
//! Two roles, as on a real server:
//!
//! * the **front door** ([`FrontDoor`]) stands for HTTP.sys, WAS and the Information Store: it
//!   owns every client socket and the request queue, starts and ends worker processes, and keeps
//!   mailboxes and sync keys, which therefore survive a recycle;
//! * the **worker** ([`worker`]) stands for the w3wp.exe of MSExchangeSyncAppPool and runs both
//!   applications of that pool: the front-end proxy, with one real outgoing socket per request it
//!   forwards, and the back end, which executes commands and holds Pings.
//!
//! They talk over the worker's standard input and output ([`link`]), so a worker ends when its
//! front door does, whatever ended it.
//!
//! This crate knows the protocol (`eas`) and application pools (`iis`), and nothing of the harness.

mod body;
mod client;
mod clock;
pub mod config;
pub mod control;
mod counted;
pub mod fault;
mod front_door;
mod headers;
pub mod link;
mod machine;
#[doc(hidden)]
pub mod play;
mod process;
mod store;
mod surfaces;
pub mod units;
mod watched;
pub mod worker;

pub use client::{Control, ControlError, plain_http};
pub use config::{MockConfig, Tls, Topology};
pub use fault::{Fault, FaultKind, StrandTrigger};
pub use front_door::{
    ANSWERED, Addresses, FrontDoor, ServerAddresses, StartError, WorkerLauncher, openapi,
    unusable_files,
};
pub use machine::Machine;

/// Locks a mutex. Nothing here panics while holding one, so poisoning cannot happen.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
