//! A simulated network with TCP's visible behaviour, for one process under tokio's paused clock.
//!
//! [`SimNet`] is the network. [`SimNet::listen`] and [`SimNet::connect`] give a [`SimListener`] and
//! [`SimStream`]s, which behave as tokio's do: refused and silent connects, FIN and RST, half-close,
//! receive windows, latency, bandwidth, loss as delay, partitions, NATs that forget, ports that run
//! out, and the states of RFC 9293 at each end up to the end of TIME_WAIT. [`SimNet::rows`] is the
//! census of sockets. [`SimNet::check`] lists what contradicts itself.
//!
//! # Determinism
//!
//! The same seed and the same program on a current-thread runtime give the same events at the same
//! times. Nothing here reads the real clock, iterates over a hash table or depends on addresses in
//! memory. Each connection has a random generator of its own, so one connection's losses do not
//! depend on what other connections send.
//!
//! # Cost
//!
//! The whole network has one task and one timer, which stands at the earliest event. Without an
//! event there is no task. An idle connection has no event. Each direction with segments under way
//! has one event, whatever the number of segments. A message costs about 3 µs of processor time with
//! 1,000 connections, including the scheduling of its tasks.
//!
//! Tokio's timers have a granularity of 1 ms, so a program sees what happened within a millisecond
//! at its end. The events themselves are exact.
//!
//! # What is simplified
//!
//! - Segments carry a whole write (a hundredth of a second's worth where bandwidth is limited), so
//!   loss is drawn per write.
//! - There is no congestion control. A receive window of [`WINDOW`] bytes limits what is under way.
//! - Acknowledgements of data are not lost. A partition that begins after the data arrived does not
//!   let its writer time out.
//! - A RST is lost by partitions and by NATs that forget, never by chance.
//! - There are no keep-alives and no window probes: a connection on which nothing is under way does
//!   not notice a partition, not even if its writer waits for space.
//!
//! # Why not turmoil
//!
//! `turmoil` advances by ticks of fixed length and runs each host's own runtime in each tick: a day
//! in ticks of 1 ms is 86 million rounds over all hosts. It has no socket states and no bandwidth,
//! and it panics when a host's ports run out. Its successor `turmoil-net` has socket states, but no
//! TIME_WAIT and no bandwidth, and its fixtures step 1 ms at a time through every host's sockets.

mod backlog;
mod bytes;
mod check;
mod config;
mod connect;
mod connections;
mod driver;
mod end;
mod faults;
mod inner;
mod listener;
mod net;
mod ports;
mod segment;
mod shared;
mod socket;
mod states;
mod stream;
mod trace;
mod wire;

pub mod wall_clock;

pub use config::{Forgotten, Host, Linked, Local, Path, Ports, Row, System, WINDOW};
pub use faults::Pair;
pub use listener::SimListener;
pub use net::SimNet;
pub use stream::SimStream;
pub use trace::{Entry, Happened};
