//! What servers print of themselves → gauges. Pure: bytes in, gauges or a mistake with its line
//! out. Where the bytes come from is not known here.
//!
//! The gauges have the same names whatever the format, so that a check does not care which source
//! the user has.

mod exporter;
mod netstat;
mod perfmon;
mod text;
mod values;

use std::collections::BTreeSet;

use crate::measure::Gauges;
use crate::scenario::Format;

pub use perfmon::{History, history};
pub(super) use text::decode;
pub(super) use values::meant;

/// Which of a server's figures are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The application pool.
    pub pool: String,
    /// The port that devices connect to.
    pub client_port: u16,
    /// The port that the front-end proxy connects to.
    pub back_end_port: u16,
}

/// Why a text has no gauges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FormatError {
    /// The line, from 1.
    pub line: usize,
    /// What is there, and what was expected.
    pub problem: String,
}

impl FormatError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        Self {
            line,
            problem: problem.into(),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// When it is not of that format, or holds nothing that is known.
pub fn parse(format: Format, bytes: &[u8], scope: &Scope) -> Result<Gauges, FormatError> {
    let text = decode(bytes);
    match format {
        Format::Exporter => exporter::parse(&text, scope),
        Format::Perfmon => perfmon::parse(&text, scope),
        Format::Netstat => netstat::parse(&text, scope),
        Format::NetTcpConnection => netstat::parse_csv(&text, scope),
        Format::Values => values::parse(&text),
    }
}

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

/// A source has some fifty figures; one that prints numbers without end must not fill the journal.
const MOST_GAUGES: usize = 1000;

/// Gauges in the making: several values of one name become one.
#[derive(Debug, Default)]
struct Gathered(Gauges);

impl Gathered {
    fn add(&mut self, name: &str, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.0.len() >= MOST_GAUGES && !self.0.contains_key(name) {
            return;
        }
        let together = together(name);
        let slot = self.0.entry(name.to_owned());
        slot.and_modify(|so_far| {
            let sum = match together {
                Together::Sum => *so_far + value,
                Together::Max => so_far.max(value),
            };
            // The sum of finite values may not be finite.
            *so_far = if sum.is_finite() { sum } else { value };
        })
        .or_insert(value);
    }

    fn server(&mut self, name: &str, value: f64) {
        self.add(&format!("server.{name}"), value);
    }

    fn done(self, expected: &str) -> Result<Gauges, FormatError> {
        if self.0.is_empty() {
            Err(FormatError::new(
                1,
                format!("expected {expected}; none is there"),
            ))
        } else {
            Ok(self.0)
        }
    }
}

/// Process ids of the pool's workers, as texts.
type Pids = BTreeSet<String>;

#[cfg(test)]
pub(super) fn scope() -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: 443,
        back_end_port: 444,
    }
}
