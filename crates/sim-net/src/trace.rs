//! A record of what happened.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use tcp_table::State;
use tokio::time::Instant;

use crate::{
    end::{Side, other},
    inner::{Id, Inner},
    net::SimNet,
};

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

impl SimNet {
    /// Keeps a record of the latest entries, up to this number. The default is 0, which costs nothing.
    pub fn record(&self, limit: usize) {
        self.shared.with(|inner, _| {
            let trace = &mut inner.trace;
            trace.limit = limit;
            let surplus = trace.entries.len().saturating_sub(limit);
            trace.entries.drain(..surplus);
        });
    }

    /// The record, oldest entry first.
    #[must_use]
    pub fn trace(&self) -> Vec<Entry> {
        self.shared
            .with(|inner, _| inner.trace.entries.iter().copied().collect())
    }
}

impl Inner {
    /// Records something, if a record is kept.
    pub(crate) fn trace(&mut self, id: Id, side: Side, what: Happened, now: Instant) {
        if self.trace.limit == 0 {
            return;
        }
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let trace = &mut self.trace;
        if trace.entries.len() >= trace.limit {
            trace.entries.pop_front();
        }
        trace.entries.push_back(Entry {
            at: now.saturating_duration_since(trace.begun.unwrap_or(now)),
            connection: id,
            local: connection.ends[side].local,
            remote: connection.ends[other(side)].local,
            what,
        });
    }
}
