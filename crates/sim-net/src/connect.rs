//! Opening connections: listening, SYNs, and the queue of connections that wait for being accepted.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    task::{Context, Poll},
};

use tcp_table::State;
use tokio::time::Instant;

use crate::{
    backlog::Listener,
    config::Local,
    end::Connection,
    inner::Inner,
    segment::Kind,
    socket::{CLIENT, Id, SERVER, Side},
};

/// Where the search for a free port begins when a program listens on port 0. The registered ports
/// begin at 1024; this is well above the usual services.
const FIRST_LISTENED: u16 = 10_000;

impl Inner {
    /// Begins to listen. Returns the endpoint.
    pub(crate) fn listen(&mut self, mut at: SocketAddr, backlog: usize) -> io::Result<SocketAddr> {
        if at.port() == 0 {
            let port = (FIRST_LISTENED..=u16::MAX)
                .find(|port| {
                    !self
                        .listeners
                        .contains_key(&SocketAddr::new(at.ip(), *port))
                })
                .ok_or(io::ErrorKind::AddrInUse)?;
            at.set_port(port);
        }
        if self.listeners.contains_key(&at) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.census.listen(at, true);
        self.listeners.insert(
            at,
            Listener {
                // Systems take a backlog of 0 as the least they support.
                backlog: backlog.max(1),
                ..Listener::default()
            },
        );
        Ok(at)
    }

    /// Ends listening. Connections that nobody accepted are reset.
    pub(crate) fn unlisten(&mut self, at: SocketAddr, now: Instant) {
        let Some(listener) = self.listeners.remove(&at) else {
            return;
        };
        self.census.listen(at, false);
        self.retired.extend(listener.wakers);
        for id in listener.pending.into_iter().chain(listener.queue) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ends[SERVER].queued = false;
                connection.ends[SERVER].received.clear();
            }
            self.abort(id, SERVER, now);
            self.reap(id);
        }
    }

    /// Who listens at an endpoint. One who listens at the unspecified address listens at all those
    /// where nobody else does.
    fn listener(&self, at: SocketAddr) -> Option<SocketAddr> {
        let any = match at {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        [at, SocketAddr::new(any, at.port())]
            .into_iter()
            .find(|at| self.listeners.contains_key(at))
    }

    /// Sends a SYN. Returns the number of the connection and the local endpoint.
    pub(crate) fn open(
        &mut self,
        local: &Local,
        to: SocketAddr,
        now: Instant,
    ) -> io::Result<(Id, SocketAddr)> {
        if local.address.is_ipv4() != to.is_ipv4() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Self {
            taken,
            listeners,
            connections,
            ..
        } = self;
        let port = taken
            .find(
                local,
                to,
                |port| {
                    let at = SocketAddr::new(local.address, port);
                    at == to || listeners.contains_key(&at)
                },
                |(id, side)| {
                    local.reuse_time_wait
                        && connections
                            .get(&id)
                            .is_some_and(|known| known.ends[side].state == State::TimeWait)
                },
            )
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        let at = SocketAddr::new(local.address, port);
        if let Some((old, side)) = self.taken.get(at, to) {
            self.set_state(old, side, State::Closed, now);
            self.reap(old);
        }
        let id = self.next_id;
        self.next_id += 1;
        let paths = [self.path(at.ip(), to.ip()), self.path(to.ip(), at.ip())];
        let mut connection = Connection::new([at, to], paths, self.seed_of(id), now);
        connection.ends[CLIENT].held = true;
        self.connections.insert(id, Box::new(connection));
        self.set_state(id, CLIENT, State::SynSent, now);
        self.limit(id, CLIENT, |system| system.syn_timeout, now);
        self.send(id, CLIENT, Kind::Syn, now);
        Ok((id, at))
    }

    /// Seed of a connection's own generator.
    const fn seed_of(&self, id: Id) -> u64 {
        // The golden ratio in 64 bits spreads neighbouring numbers.
        self.seed ^ id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Waits until the client is connected.
    pub(crate) fn poll_connected(&mut self, id: Id, context: &Context<'_>) -> Poll<io::Result<()>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        let end = &mut connection.ends[CLIENT];
        if end.connected {
            return Poll::Ready(Ok(()));
        }
        if let Some(failure) = end.failure {
            return Poll::Ready(Err(failure.into()));
        }
        self.retired
            .extend(end.writer.replace(context.waker().clone()));
        Poll::Pending
    }

    /// Whether the first segment is a SYN that nobody takes notice of: the endpoint is silent, the
    /// backlog is full, or the server still has an old connection between the same endpoints, which
    /// ends now (RFC 9293, 3.10.7.4: the server asks, and the client answers with RST).
    pub(crate) fn syn_vanishes(&mut self, id: Id, from: Side, now: Instant) -> bool {
        let Some(connection) = self.connections.get(&id) else {
            return false;
        };
        if !matches!(
            connection.ways[from].segments.front(),
            Some(segment) if !segment.lost && matches!(segment.kind, Kind::Syn)
        ) {
            return false;
        }
        let [client, server] = [CLIENT, SERVER].map(|side| connection.ends[side].local);
        if self.silent.contains(&server) {
            return true;
        }
        let listener = self.listener(server).map(|at| &self.listeners[&at]);
        if listener.is_some_and(Listener::full) {
            return true;
        }
        let Some((old, side)) = self.taken.get(server, client) else {
            return false;
        };
        let waits = self.state(old, side) == Some(State::TimeWait);
        if waits {
            self.set_state(old, side, State::Closed, now);
        } else {
            self.fail(old, side, io::ErrorKind::ConnectionReset, now);
        }
        self.reap(old);
        !waits
    }

    pub(crate) fn syn_arrived(&mut self, id: Id, now: Instant) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let answer = if let Some(at) = self.listener(connection.ends[SERVER].local)
            && let Some(listener) = self.listeners.get_mut(&at)
        {
            listener.pending.insert(id);
            self.set_state(id, SERVER, State::SynReceived, now);
            Kind::SynAck
        } else {
            Kind::Rst { answers: true }
        };
        self.send(id, SERVER, answer, now);
    }

    /// Queues a connection for being accepted.
    pub(crate) fn enqueue(&mut self, id: Id, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let at = connection.ends[SERVER].local;
        connection.ends[SERVER].queued = true;
        if let Some(at) = self.listener(at)
            && let Some(listener) = self.listeners.get_mut(&at)
            && listener.pending.remove(&id)
        {
            listener.queue.push_back(id);
            self.wakes.append(&mut listener.wakers);
        } else {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ends[SERVER].queued = false;
            }
            self.abort(id, SERVER, now);
        }
    }

    /// A connection that is being made ends.
    pub(crate) fn no_longer_pending(&mut self, id: Id, side: Side) {
        if self.state(id, side) != Some(State::SynReceived) {
            return;
        }
        let at = self.connections[&id].ends[side].local;
        if let Some(at) = self.listener(at)
            && let Some(listener) = self.listeners.get_mut(&at)
        {
            listener.pending.remove(&id);
        }
    }
}
