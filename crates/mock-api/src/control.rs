//! What travels over the control API, shared by the mock and its clients. `openapi.json` of the mock
//! describes the calls; it is made from these types and the handlers.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use text::duration_text;
use utoipa::ToSchema;

/// A mail to put into inboxes.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMail {
    /// Users, without a domain.
    pub to: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Text.
    pub body: String,
}

/// How many inboxes a mail went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivered {
    /// Inboxes; one per recipient.
    pub inboxes: usize,
}

/// What the directory says of a user. Everybody is enabled until told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UserSettings {
    /// Whether the account can log in. A Ping that is held goes on (mock-fidelity G13).
    pub enabled: bool,
    /// Whether the user may use ActiveSync (403 or Status 126 otherwise).
    pub sync: bool,
    /// Whether a policy applies; without one a device needs no policy key.
    pub policy: bool,
    /// Whether the user's devices are to be wiped (Status 140).
    pub wipe: bool,
}

impl Default for UserSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            sync: true,
            policy: true,
            wipe: false,
        }
    }
}

/// Moves the pool's clock ahead.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClockMove {
    /// By how much pool time, for example `6h`.
    #[serde(with = "duration_text")]
    #[schema(value_type = String, example = "6h")]
    pub advance: Duration,
}

/// The pool's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clock {
    /// Date, time and zone of the pool.
    pub pool_time: String,
    /// Pool seconds per second.
    pub time_scale: f64,
}

/// One worker process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkerTruth {
    /// Its server, from 1.
    pub server: usize,
    /// Its process id.
    pub pid: u32,
    /// `starting`, `running` or `draining`.
    pub state: String,
    /// Seconds since it was started.
    pub age: f64,
    /// Requests given to it.
    pub requests: u64,
    /// Threads that work on a request.
    pub threads_busy: u64,
    /// What it counts, at most half a second old.
    pub counts: WorkerCounts,
}

/// A worker's own counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// EAS commands that the back end has completed since start.
    pub commands: u64,
    /// Requests that the front-end proxy has begun to forward since start.
    pub proxied: u64,
    /// Completed requests that were answered 401, 403, 404 and 500.
    pub errors: [u64; 4],
    /// Modelled managed heap, in bytes.
    pub heap_bytes: u64,
    /// The part of it that was allocated since the last collection.
    pub young_bytes: u64,
    /// Bytes allocated since start, by the model.
    pub allocated_bytes: u64,
    /// Full collections since start.
    pub collections: u64,
    /// Share of the last sampling interval spent in collections, 0 to 1.
    pub gc_share: f64,
    /// Outgoing sockets.
    pub outgoing_sockets: u64,
    /// Outgoing connections made since start.
    pub connects: u64,
    /// Outgoing connections that could not be made for want of a port.
    pub port_failures: u64,
    /// Outgoing connections that could not be made for another reason.
    pub connect_failures: u64,
}

/// What really happens inside the mock, all servers together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Truth {
    /// Pool seconds per second.
    pub time_scale: f64,
    /// Date, time and zone of the pool.
    pub pool_time: String,
    /// State of each server's pool: `running`, `stopped`, or `disabled` by rapid-fail protection.
    pub pools: Vec<String>,
    /// Workers, the serving ones first.
    pub workers: Vec<WorkerTruth>,
    /// Recycles since start, whatever their reason.
    pub recycles: u64,
    /// Workers created since start.
    pub created: u64,
    /// Recycled workers that were killed at shutdownTimeLimit.
    pub shutdown_failures: u64,
    /// Workers that were not ready at startupTimeLimit.
    pub startup_failures: u64,
    /// Workers that did not answer WAS's pings.
    pub ping_failures: u64,
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
    /// Client requests whose answer is being sent.
    pub answering: u64,
    /// Devices the store knows.
    pub devices: u64,
    /// Mails put into inboxes since start.
    pub mails: u64,
    /// Mails that were accepted and lost by the fault `lose-mail`, counted per recipient.
    pub mails_lost: u64,
}

/// The statuses that IIS counts by themselves, in the order of [`WorkerCounts::errors`].
pub const COUNTED_ERRORS: [u16; 4] = [401, 403, 404, 500];

impl WorkerCounts {
    /// Adds what a worker has counted since its start, and not what it has at the moment.
    pub fn add_past(&mut self, other: &Self) {
        self.served += other.served;
        self.syncs += other.syncs;
        self.commands += other.commands;
        self.proxied += other.proxied;
        self.connects += other.connects;
        self.port_failures += other.port_failures;
        self.connect_failures += other.connect_failures;
    }
}

impl Truth {
    /// The sum of a count over all workers.
    #[must_use]
    pub fn sum(&self, count: impl Fn(&WorkerCounts) -> u64) -> u64 {
        self.workers
            .iter()
            .map(|worker| count(&worker.counts))
            .sum()
    }
}
