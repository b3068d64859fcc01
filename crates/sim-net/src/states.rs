//! What arriving segments and closing programs do: the states of RFC 9293.

use std::{io, time::Duration};

use tcp_table::State;
use tokio::time::Instant;

use crate::{
    config::System,
    end::after,
    inner::{Inner, What},
    segment::Kind,
    socket::{Id, Side, other},
    trace::Happened,
};

impl Inner {
    /// A segment arrives.
    pub(crate) fn arrive(&mut self, id: Id, from: Side, kind: Kind, now: Instant) {
        let to = other(from);
        let Some(state) = self.state(id, to) else {
            return;
        };
        let received = Happened::Received {
            segment: kind.name(),
            bytes: kind.len(),
        };
        self.trace(id, to, received, now);
        match (kind, state) {
            (Kind::Syn, _) => self.syn_arrived(id, now),
            (Kind::Rst { .. }, _) => self.reset_arrived(id, to, state, now),
            (Kind::FinAck, State::Closed) => {}
            (_, State::Closed) => self.send(id, to, Kind::Rst { answers: true }, now),
            (Kind::SynAck, State::SynSent) => {
                self.connected(id, to, now);
                self.send(id, to, Kind::Ack, now);
            }
            (Kind::Ack, State::SynReceived) => {
                self.connected(id, to, now);
                self.enqueue(id, now);
            }
            (Kind::Data(data), _) => self.data_arrived(id, to, data, now),
            (Kind::Fin, _) => self.fin_arrived(id, to, state, now),
            (Kind::FinAck, State::FinWait1) => {
                self.set_state(id, to, State::FinWait2, now);
                self.limit_fin_wait_2(id, to, now);
            }
            (Kind::FinAck, State::Closing) => self.wait(id, to, now),
            (Kind::FinAck, State::LastAck) => self.set_state(id, to, State::Closed, now),
            _ => {}
        }
    }

    /// State of an end.
    pub(crate) fn state(&self, id: Id, side: Side) -> Option<State> {
        let connection = self.connections.get(&id)?;
        Some(connection.ends[side].state)
    }

    fn connected(&mut self, id: Id, side: Side, now: Instant) {
        self.set_state(id, side, State::Established, now);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends[side].connected = true;
        }
        self.wake(id, side);
    }

    /// A NAT has answered with RST.
    pub(crate) fn refused(&mut self, id: Id, side: Side, now: Instant) {
        if let Some(state) = self.state(id, side) {
            self.reset_arrived(id, side, state, now);
        }
    }

    fn reset_arrived(&mut self, id: Id, to: Side, state: State, now: Instant) {
        match state {
            State::SynSent => self.fail(id, to, io::ErrorKind::ConnectionRefused, now),
            State::TimeWait => {}
            _ => self.fail(id, to, io::ErrorKind::ConnectionReset, now),
        }
    }

    fn data_arrived(&mut self, id: Id, to: Side, data: Vec<u8>, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[to];
        if end.orphaned() {
            self.abort(id, to, now);
            return;
        }
        end.received.push(data);
        self.wakes.extend(end.reader.take());
    }

    fn fin_arrived(&mut self, id: Id, to: Side, state: State, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[to];
        end.finished = true;
        self.wakes.extend(end.reader.take());
        match state {
            State::Established => self.set_state(id, to, State::CloseWait, now),
            State::FinWait1 => self.set_state(id, to, State::Closing, now),
            State::FinWait2 => self.wait(id, to, now),
            _ => {}
        }
        self.send(id, to, Kind::FinAck, now);
    }

    /// Begins TIME_WAIT.
    fn wait(&mut self, id: Id, side: Side, now: Instant) {
        self.set_state(id, side, State::TimeWait, now);
        self.limit(id, side, |system| system.time_wait, now);
    }

    /// Limits the stay in FIN_WAIT_2 if no program holds the stream.
    fn limit_fin_wait_2(&mut self, id: Id, side: Side, now: Instant) {
        if self.connections.get(&id).is_some_and(|connection| {
            let end = &connection.ends[side];
            end.state == State::FinWait2 && end.orphaned()
        }) {
            self.limit(id, side, |system| system.fin_wait_2, now);
        }
    }

    /// Limits the stay in the present state.
    pub(crate) fn limit(
        &mut self,
        id: Id,
        side: Side,
        time: impl Fn(System) -> Duration,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let system = self.system(connection.ends[side].local.ip());
        let key = self.schedule(after(now, time(system)), id, side, What::Timer);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends[side].timer = Some(key);
        }
    }

    /// The stay in a state ends.
    pub(crate) fn timer_due(&mut self, id: Id, side: Side, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[side];
        end.timer = None;
        if end.state == State::SynSent {
            self.fail(id, side, io::ErrorKind::TimedOut, now);
        } else {
            self.set_state(id, side, State::Closed, now);
        }
    }

    /// A connection fails at one end.
    pub(crate) fn fail(&mut self, id: Id, side: Side, kind: io::ErrorKind, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[side];
        if end.state == State::Closed {
            return;
        }
        end.failure = Some(kind);
        self.no_longer_pending(id, side);
        self.set_state(id, side, State::Closed, now);
        self.wake(id, side);
    }

    /// Ends a connection with RST. What is on the line still arrives.
    pub(crate) fn abort(&mut self, id: Id, side: Side, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let way = &mut connection.ways[side];
        let latency = way.latency;
        way.clear_line(now);
        let mut kept = self.clear(id, side);
        // Behind a gap nothing reaches the peer's program.
        let arriving = kept
            .iter()
            .take_while(|segment| !segment.lost && segment.due <= now + latency)
            .count();
        let removed = kept.split_off(arriving);
        self.no_longer_pending(id, side);
        self.set_state(id, side, State::Closed, now);
        if self.state(id, other(side)) == Some(State::Closed) {
            return;
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[side].segments = kept;
        }
        self.send(id, side, Kind::Rst { answers: false }, now);
        for segment in removed {
            self.unanswered(id, other(side), &segment.kind, now);
        }
    }

    /// Sends FIN, unless that has happened.
    pub(crate) fn finish(&mut self, id: Id, side: Side, now: Instant) {
        let state = match self.state(id, side) {
            Some(State::Established) => State::FinWait1,
            Some(State::CloseWait) => State::LastAck,
            _ => return,
        };
        self.set_state(id, side, state, now);
        if let Some(connection) = self.connections.get_mut(&id) {
            // Who waits for space can write no more.
            self.wakes.extend(connection.ends[side].writer.take());
        }
        self.send(id, side, Kind::Fin, now);
    }

    /// The program lets go of its stream.
    pub(crate) fn close(&mut self, id: Id, side: Side, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[side];
        end.held = false;
        self.retired.extend(end.reader.take());
        self.retired.extend(end.writer.take());
        let unread = end.received.len() > 0;
        end.received.clear();
        let linger = end.zero_linger;
        match end.state {
            State::Closed | State::TimeWait => {}
            State::SynSent => self.set_state(id, side, State::Closed, now),
            State::Closing | State::LastAck if !unread => {}
            _ if unread || linger => self.abort(id, side, now),
            State::FinWait2 => self.limit_fin_wait_2(id, side, now),
            _ => self.finish(id, side, now),
        }
        self.reap(id);
    }
}
