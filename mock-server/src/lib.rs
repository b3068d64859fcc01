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
//! What can be configured, the faults and the control API's types are in the crate `mock-api`. This crate knows the protocol
//! (`eas`) and application pools (`iis`), and nothing of the harness.

mod body;
mod clock;
mod counted;
mod fault;
mod front_door;
mod headers;
pub mod link;
mod machine;
#[doc(hidden)]
pub mod play;
mod process;
mod store;
mod surfaces;
mod watched;
pub mod worker;

pub use front_door::{
    ANSWERED, Addresses, FrontDoor, ServerAddresses, StartError, WorkerLauncher, openapi,
    unusable_files,
};
pub use machine::Machine;
