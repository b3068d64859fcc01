//! Figures that servers give, by name.

/// How the values of several processes, or of several servers, become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// An amount: added up.
    Sum,
    /// A share or an age: the largest counts.
    Max,
}

/// Names of the gauges that servers give, without `server.`, and how they are put together.
pub const SERVER_GAUGES: &[(&str, Together)] = &[
    ("active_requests", Together::Sum),
    ("request_limit", Together::Sum),
    ("requests_total", Together::Sum),
    ("recycles", Together::Sum),
    ("workers_created", Together::Sum),
    ("workers", Together::Sum),
    ("shutdown_failures", Together::Sum),
    ("worker_failures", Together::Sum),
    ("queue", Together::Sum),
    ("rejected", Together::Sum),
    ("gc_time", Together::Max),
    ("private_bytes", Together::Sum),
    ("working_set_bytes", Together::Sum),
    ("handles", Together::Sum),
    ("pings_pending", Together::Sum),
    ("outstanding_proxy", Together::Sum),
    ("cpu", Together::Max),
    ("mailbox_latency", Together::Max),
    ("tcp.close_wait", Together::Sum),
    ("tcp.established", Together::Sum),
    ("tcp.time_wait", Together::Sum),
    ("tcp.connection_failures", Together::Sum),
    ("worker_started", Together::Max),
];

/// How the values of a gauge become one.
#[must_use]
pub fn together(name: &str) -> Together {
    let short = name.strip_prefix("server.").unwrap_or(name);
    SERVER_GAUGES
        .iter()
        .find(|(known, _)| *known == short)
        .map_or(Together::Sum, |(_, together)| *together)
}
