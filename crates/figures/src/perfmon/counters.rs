//! The counters that are read.

/// A counter of the pool's workers, of a process, or of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instance {
    /// `4712_MSExchangeSyncAppPool`.
    Worker,
    /// The pool's own name.
    Pool,
    /// `w3wp`, `w3wp#1`, `w3wp_4712`, `w3wp_p4712_r15_ad2`, `w3wp:4712`.
    Process,
    /// `eas`.
    Proxy,
    /// None, or any.
    Machine,
}
use Instance::{Machine, Pool, Process, Proxy, Worker};

/// Object, counter, whose it is, gauge, and by what its value is multiplied.
pub(super) const COUNTERS: &[(&str, &str, Instance, &str, f64)] = &[
    (
        "W3SVC_W3WP",
        "Active Requests",
        Worker,
        "active_requests",
        1.0,
    ),
    (
        "W3SVC_W3WP",
        "Total HTTP Requests Served",
        Worker,
        "requests_total",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Application Pool Recycles",
        Pool,
        "recycles",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Processes Created",
        Pool,
        "workers_created",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Current Worker Processes",
        Pool,
        "workers",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Process Shutdown Failures",
        Pool,
        "shutdown_failures",
        1.0,
    ),
    (
        "APP_POOL_WAS",
        "Total Worker Process Failures",
        Pool,
        "worker_failures",
        1.0,
    ),
    (
        "HTTP Service Request Queues",
        "CurrentQueueSize",
        Pool,
        "queue",
        1.0,
    ),
    (
        "HTTP Service Request Queues",
        "RejectedRequests",
        Pool,
        "rejected",
        1.0,
    ),
    (".NET CLR Memory", "% Time in GC", Process, "gc_time", 0.01),
    ("Process", "Private Bytes", Process, "private_bytes", 1.0),
    ("Process", "Working Set", Process, "working_set_bytes", 1.0),
    ("Process", "Handle Count", Process, "handles", 1.0),
    ("Process V2", "Private Bytes", Process, "private_bytes", 1.0),
    (
        "Process V2",
        "Working Set",
        Process,
        "working_set_bytes",
        1.0,
    ),
    ("Process V2", "Handle Count", Process, "handles", 1.0),
    ("Processor", "% Processor Time", Machine, "cpu", 0.01),
    (
        "MSExchange ActiveSync",
        "Ping Commands Pending",
        Machine,
        "pings_pending",
        1.0,
    ),
    (
        "MSExchange HttpProxy",
        "Outstanding Proxy Requests",
        Proxy,
        "outstanding_proxy",
        1.0,
    ),
    // In milliseconds there, in seconds at the exporter.
    (
        "MSExchange HttpProxy",
        "MailboxServerLocator Average Latency",
        Proxy,
        "mailbox_latency",
        0.001,
    ),
    // windows_exporter reads this one.
    (
        "MSExchange HttpProxy",
        "MailboxServerLocator Average Latency (Moving Average)",
        Proxy,
        "mailbox_latency",
        0.001,
    ),
    (
        "TCPv4",
        "Connection Failures",
        Machine,
        "tcp.connection_failures",
        1.0,
    ),
    (
        "TCPv6",
        "Connection Failures",
        Machine,
        "tcp.connection_failures",
        1.0,
    ),
];
/// German names of objects and counters, which Windows translates where it is their author.
const GERMAN: &[(&str, &str)] = &[
    ("Prozess", "Process"),
    ("Prozess V2", "Process V2"),
    ("Prozessor", "Processor"),
    (".NET CLR-Speicher", ".NET CLR Memory"),
    ("Prozessorzeit (%)", "% Processor Time"),
    ("Arbeitsseiten", "Working Set"),
    ("Handleanzahl", "Handle Count"),
    ("Prozesskennung", "ID Process"),
    ("Verbindungsfehler", "Connection Failures"),
];
/// Counters that say which process an instance is, by their objects.
pub(super) const IDS: &[(&str, &str)] = &[
    ("Process", "ID Process"),
    ("Process V2", "Process ID"),
    (".NET CLR Memory", "Process ID"),
];
/// Gauges whose counters are percentages.
pub(super) const PERCENTS: [&str; 2] = ["gc_time", "cpu"];

/// The English name of an object or counter.
pub(super) fn english(name: &str) -> &str {
    let german = GERMAN
        .iter()
        .find(|(german, _)| german.eq_ignore_ascii_case(name));
    german.map_or(name, |(_, english)| english)
}
