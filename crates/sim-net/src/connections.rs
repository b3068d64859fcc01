//! All connections by number, and what a check of them can rely on.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
    ops::Index,
};

use tcp_table::State;

use crate::{
    end::{Audited, Connection},
    ports::{Counts, index},
    socket::Id,
};

/// The connections. A hash table, since each event looks its connection up several times. What goes
/// through all of them does so in the order of their numbers, but for sums.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    known: HashMap<Id, Box<Connection>, BuildHasherDefault<IdHasher>>,
    /// Those that may have changed since the last check. A connection that was removed may be among them.
    touched: Vec<Id>,
    audit: Audit,
}

/// Sums over all connections, as of the last check of each.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Sockets in each state.
    pub(crate) counts: Counts,
    /// Events that the connections know of.
    pub(crate) events: usize,
}

impl Audit {
    fn replace(&mut self, before: Audited, after: Audited) {
        for state in before.states.into_iter().filter(|state| is_open(*state)) {
            self.counts[index(state)] -= 1;
        }
        for state in after.states.into_iter().filter(|state| is_open(*state)) {
            self.counts[index(state)] += 1;
        }
        self.events = self.events - before.events + after.events;
    }
}

fn is_open(state: State) -> bool {
    state != State::Closed
}

impl Connections {
    pub(crate) fn get(&self, id: &Id) -> Option<&Connection> {
        self.known.get(id).map(|connection| &**connection)
    }

    /// A connection that may be changed; the next check looks at it.
    pub(crate) fn get_mut(&mut self, id: &Id) -> Option<&mut Connection> {
        let connection = self.known.get_mut(id)?;
        if !mem::replace(&mut connection.touched, true) {
            self.touched.push(*id);
        }
        Some(connection)
    }

    pub(crate) fn insert(&mut self, id: Id, mut connection: Box<Connection>) {
        connection.touched = true;
        self.touched.push(id);
        self.known.insert(id, connection);
    }

    pub(crate) fn remove(&mut self, id: &Id) -> Option<Box<Connection>> {
        let connection = self.known.remove(id)?;
        self.audit.replace(connection.audited, Audited::default());
        Some(connection)
    }

    /// The numbers, lowest first.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.known.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// The connections in no particular order.
    pub(crate) fn unordered(&self) -> impl Iterator<Item = (Id, &Connection)> {
        let known = self.known.iter();
        known.map(|(id, connection)| (*id, &**connection))
    }

    /// The connections, lowest number first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Id, &Connection)> {
        let mut known: Vec<_> = self.unordered().collect();
        known.sort_unstable_by_key(|(id, _)| *id);
        known.into_iter()
    }

    /// Numbers of the connections that may have changed since the last call.
    pub(crate) fn take_touched(&mut self) -> Vec<Id> {
        let mut touched = mem::take(&mut self.touched);
        touched.retain(|id| {
            let connection = self.known.get_mut(id);
            connection.is_some_and(|connection| mem::take(&mut connection.touched))
        });
        touched
    }

    /// Enters what a check found of a connection.
    pub(crate) fn audited(&mut self, id: Id, found: Audited) {
        if let Some(connection) = self.known.get_mut(&id) {
            let before = mem::replace(&mut connection.audited, found);
            self.audit.replace(before, found);
        }
    }

    pub(crate) const fn audit(&self) -> &Audit {
        &self.audit
    }
}

impl Index<&Id> for Connections {
    type Output = Connection;

    fn index(&self, id: &Id) -> &Connection {
        &self.known[id]
    }
}

/// Spreads numbers that follow each other. They are the network's own, so nobody can choose them to collide.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        /// The golden ratio in 64 bits.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ number).wrapping_mul(SPREAD).rotate_left(32);
    }
}
