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
//! This crate knows the protocol (`eas`) and nothing of the harness.

pub mod config;
pub mod control;
mod front_door;
pub mod link;
mod store;
pub mod worker;

pub use config::{FaultConfig, MockConfig, Topology};
pub use front_door::{ANSWERED, Addresses, FrontDoor, StartError, WorkerLauncher};
