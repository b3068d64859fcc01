//! What a Windows server with IIS and Exchange publishes besides its metrics: the texts an
//! administrator reads and tools parse (mock-fidelity.md, section 8).
//!
//! | module | text | source |
//! | --- | --- | --- |
//! | [`sockets`], [`mod@netstat`] | `netstat -ano` and `-anob` | server-observability.md 5 |
//! | [`events`], [`heartbeats`] | System and Application log | iis-recycling.md 2.1, KB 905013 |
//! | [`iis_log`], [`http_err`] | W3C logs of IIS and of HTTP.sys | eas-protocol.md 7, KB 967853 |
//! | [`perfmon`] | counter log in PDH-CSV | server-observability.md 4 |
//!
//! Nothing here reads a clock or keeps a task: times are arguments, so that a scaled or moved
//! clock shows in every text. Only [`sockets::Scanner`] and [`ring::Ring`] do input or output.
//! Lines end in LF alone. The formats are the English ones; Windows translates netstat and events.

pub(crate) mod events;
pub(crate) mod heartbeats;
pub(crate) mod http_err;
pub(crate) mod iis_log;
pub(crate) mod netstat;
pub(crate) mod perfmon;
pub(crate) mod ring;
pub(crate) mod sockets;
mod w3c;

pub(crate) use events::Event;
pub(crate) use heartbeats::HeartbeatAverage;
pub(crate) use netstat::netstat;
pub(crate) use perfmon::{PerfmonLog, PerfmonSample, PerfmonWorker};
pub(crate) use ring::Ring;
