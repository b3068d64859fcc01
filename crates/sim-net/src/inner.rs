//! The state of the network, and its events.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    mem,
    net::{IpAddr, SocketAddr},
    task::Waker,
};

use tcp_table::State;
use tokio::time::Instant;

use crate::{
    backlog::Listener,
    config::{Host, Path, System},
    connections::Connections,
    driver::Driver,
    end::Key,
    ports::{Census, Taken},
    segment::Segment,
    socket::{CLIENT, Id, SERVER, Side, Socket, other},
    trace::{Entry, Happened, Trace},
};

/// Something that happens at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Id,
    pub(crate) side: Side,
    pub(crate) what: What,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The first segment of the direction is due.
    Segment,
    /// The waiting writer learns of space.
    Space,
    /// TIME_WAIT or FIN_WAIT_2 ends.
    Timer,
}

/// State of the network.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) seed: u64,
    pub(crate) connections: Connections,
    pub(crate) next_id: Id,
    pub(crate) listeners: BTreeMap<SocketAddr, Listener>,
    pub(crate) events: BTreeMap<Key, Event>,
    /// Sockets that are neither connected nor closed, each with its remote port. A server that strands requests
    /// gathers thousands of them, and those who ask for sockets ask for the devices' side alone.
    pub(crate) unsettled: BTreeSet<(u16, Socket)>,
    next_event: u64,
    pub(crate) taken: Taken,
    pub(crate) census: Census,
    pub(crate) default_path: Path,
    pub(crate) paths: BTreeMap<(Host, Host), Path>,
    pub(crate) default_system: System,
    pub(crate) systems: BTreeMap<Host, System>,
    /// Pairs of hosts that do not reach each other, in both orders.
    pub(crate) partitions: BTreeSet<(Host, Host)>,
    /// Endpoints at which SYNs vanish.
    pub(crate) silent: BTreeSet<SocketAddr>,
    pub(crate) trace: Trace,
    pub(crate) driver: Driver,
    /// Who must be woken once the lock is released.
    pub(crate) wakes: Vec<Waker>,
    /// Wakers to drop once the lock is released, since that may run foreign code.
    pub(crate) retired: Vec<Waker>,
}

impl Inner {
    pub(crate) fn new(seed: u64, path: Path) -> Self {
        Self {
            seed,
            connections: Connections::default(),
            next_id: 0,
            listeners: BTreeMap::new(),
            events: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            next_event: 0,
            taken: Taken::default(),
            census: Census::default(),
            default_path: path,
            paths: BTreeMap::new(),
            default_system: System::default(),
            systems: BTreeMap::new(),
            partitions: BTreeSet::new(),
            silent: BTreeSet::new(),
            trace: Trace::default(),
            driver: Driver::default(),
            wakes: Vec::new(),
            retired: Vec::new(),
        }
    }

    /// Records something, if a record is kept.
    pub(crate) fn trace(&mut self, id: Id, side: Side, what: Happened, now: Instant) {
        if !self.trace.is_kept() {
            return;
        }
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        self.trace.push(Entry {
            at: self.trace.age(now),
            connection: id,
            local: connection.ends[side].local,
            remote: connection.ends[other(side)].local,
            what,
        });
    }

    /// When the next event is due.
    pub(crate) fn next_event(&self) -> Option<Instant> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    /// Adds an event.
    pub(crate) fn schedule(&mut self, at: Instant, id: Id, side: Side, what: What) -> Key {
        let key = (at, self.next_event);
        self.next_event += 1;
        self.events.insert(key, Event { id, side, what });
        key
    }

    /// Plays all events up to `now`. Each happens at its own time, which may be a little earlier.
    pub(crate) fn play(&mut self, now: Instant) {
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= now
        {
            let ((at, _), Event { id, side, what }) = entry.remove_entry();
            match what {
                What::Segment => self.segment_due(id, side, at),
                What::Space => self.space_due(id, side),
                What::Timer => self.timer_due(id, side, now),
            }
            self.reap(id);
        }
    }

    /// The system of a host.
    pub(crate) fn system(&self, host: IpAddr) -> System {
        self.systems
            .get(&host)
            .copied()
            .unwrap_or(self.default_system)
    }

    /// The path from one host to another.
    pub(crate) fn path(&self, from: Host, to: Host) -> &Path {
        self.paths.get(&(from, to)).unwrap_or(&self.default_path)
    }

    /// Whether a partition separates the hosts of a connection.
    pub(crate) fn separated(&self, id: Id) -> bool {
        !self.partitions.is_empty()
            && self.connections.get(&id).is_some_and(|connection| {
                let [a, b] = [CLIENT, SERVER].map(|side| connection.ends[side].local.ip());
                self.partitions.contains(&(a, b))
            })
    }

    /// Puts a socket into a state, and keeps the books about it.
    pub(crate) fn set_state(&mut self, id: Id, side: Side, state: State, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let remote = connection.remote(side);
        let end = &mut connection.ends[side];
        let before = mem::replace(&mut end.state, state);
        if before == state {
            return;
        }
        if let Some(timer) = end.timer.take() {
            self.events.remove(&timer);
        }
        self.census.change(end.local, remote, before, state);
        let local = end.local;
        if before == State::Closed {
            self.taken.insert(local, remote, (id, side));
        }
        if matches!(state, State::Established | State::Closed) {
            self.unsettled.remove(&(remote.port(), (id, side)));
        } else {
            self.unsettled.insert((remote.port(), (id, side)));
        }
        self.trace(id, side, Happened::State(state), now);
        if state == State::Closed {
            self.wake(id, side);
            self.taken.remove(local, remote, (id, side));
            self.purge(id, side, now);
        }
    }

    /// Removes what a closed socket had sent and what it waits for.
    fn purge(&mut self, id: Id, side: Side, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if let Some(space) = connection.ways[side].space.take() {
            self.events.remove(&space);
        }
        let removed = self.clear(id, side);
        if self.state(id, other(side)) == Some(State::Closed) {
            self.clear(id, other(side));
        }
        for segment in removed {
            self.unanswered(id, other(side), &segment.kind, now);
        }
    }

    /// Removes what is under way in a direction.
    pub(crate) fn clear(&mut self, id: Id, from: Side) -> VecDeque<Segment> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return VecDeque::new();
        };
        let way = &mut connection.ways[from];
        if let Some(event) = way.event.take() {
            self.events.remove(&event);
        }
        mem::take(&mut way.segments)
    }

    /// Removes a connection of which nothing is left.
    pub(crate) fn reap(&mut self, id: Id) {
        if self
            .connections
            .get(&id)
            .is_some_and(|connection| connection.ends.iter().all(crate::end::End::gone))
            && let Some(mut connection) = self.connections.remove(&id)
        {
            for side in [CLIENT, SERVER] {
                let way = &mut connection.ways[side];
                for key in [way.event.take(), way.space.take()].into_iter().flatten() {
                    self.events.remove(&key);
                }
                let end = &mut connection.ends[side];
                self.retired.extend(end.reader.take());
                self.retired.extend(end.writer.take());
            }
        }
    }

    /// Wakes who reads or writes at an end.
    pub(crate) fn wake(&mut self, id: Id, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let end = &mut connection.ends[side];
            self.wakes.extend(end.reader.take());
            self.wakes.extend(end.writer.take());
        }
    }
}
