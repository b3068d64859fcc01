//! A record of what happened.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tcp_table::State;
use tokio::time::Instant;

/// Something that happened at one end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Time since the network was used first.
    pub at: Duration,
    /// Number of the connection, as [`crate::SimStream::connection`] gives it.
    pub connection: u64,
    /// This end.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// What happened.
    pub what: Happened,
}

/// What happened at an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The socket is in this state now.
    State(State),
    /// It sent a segment, for the first time or again.
    Sent {
        /// Name of the segment: `SYN`, `SYN+ACK`, `ACK`, `DATA`, `FIN`, `FIN+ACK` (the answer to a
        /// FIN) or `RST`.
        segment: &'static str,
        /// Bytes of data.
        bytes: usize,
        /// Whether it will not arrive.
        lost: bool,
    },
    /// A segment arrived.
    Received {
        /// Name of the segment, as in [`Happened::Sent`].
        segment: &'static str,
        /// Bytes of data.
        bytes: usize,
    },
}

/// The latest entries.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// When the network was used first.
    pub(crate) begun: Option<Instant>,
    /// Most entries that are kept.
    limit: usize,
    entries: VecDeque<Entry>,
}

impl Trace {
    /// Keeps up to this number of entries.
    pub(crate) fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
        let surplus = self.entries.len().saturating_sub(limit);
        self.entries.drain(..surplus);
    }

    /// Whether anything is kept.
    pub(crate) const fn is_kept(&self) -> bool {
        self.limit > 0
    }

    /// Time since the network was used first.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun.unwrap_or(now))
    }

    pub(crate) fn push(&mut self, entry: Entry) {
        if self.entries.len() >= self.limit {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// The oldest first.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.iter().copied().collect()
    }
}
