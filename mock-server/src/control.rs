//! What travels over the control API, shared by the mock and its clients.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /health` | 200 when a worker is ready |
//! | `GET /truth` | [`Truth`]: what really happens inside, to compare measurements with |
//! | `GET /metrics` | windows_exporter's names |
//! | `POST /faults` | a [`FaultConfig`](crate::FaultConfig) in place of the current one |
//! | `DELETE /faults` | no faults |
//! | `POST /mail` | a [`NewMail`] into inboxes; answers with [`Delivered`] |
//! | `POST /recycle` | recycles now; answers when the new worker serves |
//! | `POST /hierarchy-change` | a new folder for every mailbox |
//! | `POST /unprovision` | every device must provision again |
//! | `POST /kill-worker` | ends the worker as a crash would |
//! | `POST /shutdown` | ends the mock |

use serde::{Deserialize, Serialize};

/// A mail to put into inboxes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewMail {
    /// Users, without a domain.
    pub to: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Text.
    pub body: String,
}

/// How many inboxes a mail went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// Inboxes; one per recipient.
    pub inboxes: usize,
}

/// One worker process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerTruth {
    /// Its process id.
    pub pid: u32,
    /// `starting`, `running` or `draining`.
    pub state: String,
    /// Seconds since it was started.
    pub age: f64,
    /// What it counts, at most a second old.
    pub counts: WorkerCounts,
}

/// A worker's own counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerCounts {
    /// Requests of both applications that are not completed: W3SVC_W3WP's Active Requests.
    pub active: u64,
    /// Requests of the front-end proxy among them.
    pub outstanding_proxy: u64,
    /// Front-end requests that will never be completed.
    pub stranded: u64,
    /// Pings the back end holds.
    pub held_pings: u64,
    /// Requests completed since start.
    pub served: u64,
    /// Sync commands executed since start.
    pub syncs: u64,
    /// Modelled managed heap, in bytes.
    pub heap_bytes: u64,
    /// Full collections since start.
    pub collections: u64,
    /// Share of the last sampling interval spent in collections, 0 to 1.
    pub gc_share: f64,
    /// Outgoing sockets.
    pub outgoing_sockets: u64,
    /// Outgoing connections that could not be made, mostly for want of a port.
    pub connect_failures: u64,
}

/// What really happens inside the mock.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Workers, the serving ones first.
    pub workers: Vec<WorkerTruth>,
    /// Recycles since start, whatever their reason.
    pub recycles: u64,
    /// Recycled workers that were killed at shutdownTimeLimit.
    pub shutdown_failures: u64,
    /// Workers that ended without being told to.
    pub failures: u64,
    /// Client connections accepted since start.
    pub connections_accepted: u64,
    /// Client connections open now.
    pub connections_open: u64,
    /// Requests that wait for a worker.
    pub queued: u64,
    /// Requests refused because the queue was full.
    pub rejected: u64,
    /// Client requests whose connection was cut because their worker ended.
    pub cut: u64,
    /// Devices the store knows.
    pub devices: u64,
    /// Mails put into inboxes since start.
    pub mails: u64,
}
