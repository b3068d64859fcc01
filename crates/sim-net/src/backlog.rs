//! What the network knows of a listening socket.

use std::{
    collections::{BTreeSet, VecDeque},
    task::Waker,
};

use crate::socket::Id;

/// What the network knows of a listening socket.
#[derive(Debug, Default)]
pub(crate) struct Listener {
    /// Connections that wait or are being made, at most.
    pub(crate) backlog: usize,
    /// Connections that are being made.
    pub(crate) pending: BTreeSet<Id>,
    /// Connections that wait for being accepted.
    pub(crate) queue: VecDeque<Id>,
    /// Who waits for a connection.
    pub(crate) wakers: Vec<Waker>,
}

impl Listener {
    /// Whether it takes no more connections.
    pub(crate) fn full(&self) -> bool {
        self.pending.len() + self.queue.len() >= self.backlog
    }
}
