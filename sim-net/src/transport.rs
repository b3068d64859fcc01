//! Sending, arriving, and the states of RFC 9293.

use std::{
    io, mem,
    task::{Poll, Waker},
    time::Duration,
};

use rand::Rng;
use tcp_table::State;
use tokio::time::Instant;

use crate::{
    end::{Connection, Side, other},
    inner::{Id, Inner, What},
    segment::{Kind, Segment},
};

/// Time until a SYN or its answer is sent again (RFC 6298, 2.1). It doubles each time.
const SYN_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the answer to a SYN is sent again: Linux' tcp_synack_retries.
const SYN_ACK_RETRIES: u32 = 5;
/// Longest time until a segment is sent again: Linux' TCP_RTO_MAX.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Time until a segment is sent again that was sent again `tries` times before.
fn timeout(first: Duration, tries: u32) -> Duration {
    first
        .saturating_mul(1u32.checked_shl(tries).unwrap_or(u32::MAX))
        .min(LONGEST_TIMEOUT)
}

impl Inner {
    /// Sends a segment.
    pub(crate) fn send(&mut self, id: Id, from: Side, kind: Kind, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let way = &mut connection.ways[from];
        way.used += kind.len();
        way.segments.push_back(Segment {
            kind,
            sent: now,
            due: now,
            lost: false,
            tries: 0,
        });
        let last = way.segments.len() - 1;
        self.transmit(id, from, last, now);
        self.arm(id, from, now);
    }

    /// Puts a segment of the queue on the line, and decides whether it is lost.
    fn transmit(&mut self, id: Id, from: Side, place: usize, now: Instant) {
        let blocked = self.separated(id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Connection { ways, random, .. } = &mut **connection;
        let way = &mut ways[from];
        let loss = way.loss;
        let Some(segment) = way.segments.get_mut(place) else {
            return;
        };
        segment.sent = now;
        segment.lost = blocked
            || (loss > 0.0 && !matches!(segment.kind, Kind::Rst) && random.random_bool(loss));
        let len = segment.kind.len();
        let arrival = way.transmit(len, now);
        let retry = self.retry_at(id, from, place);
        if let Some(connection) = self.connections.get_mut(&id) {
            let segment = &mut connection.ways[from].segments[place];
            segment.due = if segment.lost { retry } else { arrival };
        }
    }

    /// When a segment of the queue is sent again if it is lost.
    fn retry_at(&self, id: Id, from: Side, place: usize) -> Instant {
        let connection = &self.connections[&id];
        let segment = &connection.ways[from].segments[place];
        let first = match segment.kind {
            Kind::Syn | Kind::SynAck => SYN_TIMEOUT,
            _ => {
                let system = self.system(connection.ends[from].local.ip());
                system.retransmission_timeout + connection.round_trip()
            }
        };
        segment.sent + timeout(first, segment.tries)
    }

    /// Plans the event of the first segment.
    fn arm(&mut self, id: Id, from: Side, now: Instant) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let way = &connection.ways[from];
        let (None, Some(first)) = (way.event, way.segments.front()) else {
            return;
        };
        let key = self.schedule(first.due.max(now), id, from, What::Segment);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[from].event = Some(key);
        }
    }

    /// The first segment of a direction arrives, or is sent again.
    pub(crate) fn segment_due(&mut self, id: Id, from: Side, now: Instant) {
        let blocked = self.separated(id) || self.syn_vanishes(id, from);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let way = &mut connection.ways[from];
        way.event = None;
        let Some(first) = way.segments.front_mut() else {
            return;
        };
        if first.lost {
            self.send_again(id, from, now);
        } else if blocked {
            first.lost = true;
            let retry = self.retry_at(id, from, 0);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[from].segments[0].due = retry;
            }
        } else if let Some(segment) = way.segments.pop_front() {
            self.arm(id, from, now);
            self.arrive(id, from, segment.kind, now);
        }
        self.arm(id, from, now);
    }

    /// The first segment was lost. Sends it again, and the lost ones behind it, too, or gives up.
    fn send_again(&mut self, id: Id, from: Side, now: Instant) {
        let connection = &self.connections[&id];
        let way = &connection.ways[from];
        let first = &way.segments[0];
        let most = match first.kind {
            // The client's timer ends it.
            Kind::Syn => u32::MAX,
            Kind::SynAck => SYN_ACK_RETRIES,
            Kind::Rst => 0,
            _ => {
                let host = connection.ends[from].local.ip();
                self.system(host).retransmissions
            }
        };
        if first.tries < most {
            let lost: Vec<usize> = (0..way.segments.len())
                .filter(|place| way.segments[*place].lost)
                .collect();
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[from].segments[0].tries += 1;
            }
            for place in lost {
                self.transmit(id, from, place, now);
            }
            return;
        }
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match connection.ways[from].segments.pop_front() {
            Some(segment) if segment.kind.confirms() => {
                self.fail(id, other(from), io::ErrorKind::TimedOut);
            }
            Some(segment) if !matches!(segment.kind, Kind::Rst) => {
                self.fail(id, from, io::ErrorKind::TimedOut);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, id: Id, from: Side, kind: Kind, now: Instant) {
        let to = other(from);
        let Some(state) = self.state(id, to) else {
            return;
        };
        match (kind, state) {
            (Kind::Syn, _) => self.syn_arrived(id, now),
            (Kind::Rst, _) => self.reset_arrived(id, to, state),
            (Kind::FinAck, State::Closed) => {}
            (_, State::Closed) => self.send(id, to, Kind::Rst, now),
            (Kind::SynAck, State::SynSent) => {
                self.connected(id, to);
                self.send(id, to, Kind::Ack, now);
            }
            (Kind::Ack, State::SynReceived) => {
                self.connected(id, to);
                self.enqueue(id, now);
            }
            (Kind::Data(data), _) => self.data_arrived(id, to, data, now),
            (Kind::Fin, _) => self.fin_arrived(id, to, state, now),
            (Kind::FinAck, State::FinWait1) => {
                self.set_state(id, to, State::FinWait2);
                self.limit_fin_wait_2(id, to, now);
            }
            (Kind::FinAck, State::Closing) => self.wait(id, to, now),
            (Kind::FinAck, State::LastAck) => self.set_state(id, to, State::Closed),
            _ => {}
        }
    }

    /// State of an end.
    pub(crate) fn state(&self, id: Id, side: Side) -> Option<State> {
        let connection = self.connections.get(&id)?;
        Some(connection.ends[side].state)
    }

    fn connected(&mut self, id: Id, side: Side) {
        self.set_state(id, side, State::Established);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends[side].connected = true;
        }
        self.wake(id, side);
    }

    fn reset_arrived(&mut self, id: Id, to: Side, state: State) {
        match state {
            State::SynSent => self.fail(id, to, io::ErrorKind::ConnectionRefused),
            State::TimeWait => {}
            _ => self.fail(id, to, io::ErrorKind::ConnectionReset),
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
            State::Established => self.set_state(id, to, State::CloseWait),
            State::FinWait1 => self.set_state(id, to, State::Closing),
            State::FinWait2 => self.wait(id, to, now),
            _ => {}
        }
        self.send(id, to, Kind::FinAck, now);
    }

    /// Begins TIME_WAIT.
    fn wait(&mut self, id: Id, side: Side, now: Instant) {
        self.set_state(id, side, State::TimeWait);
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
        time: impl Fn(crate::System) -> Duration,
        now: Instant,
    ) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let system = self.system(connection.ends[side].local.ip());
        let key = self.schedule(now + time(system), id, side, What::Timer);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ends[side].timer = Some(key);
        }
    }

    /// The stay in a state ends.
    pub(crate) fn timer_due(&mut self, id: Id, side: Side) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[side];
        end.timer = None;
        if end.state == State::SynSent {
            self.fail(id, side, io::ErrorKind::TimedOut);
        } else {
            self.set_state(id, side, State::Closed);
        }
    }

    /// A connection fails at one end.
    pub(crate) fn fail(&mut self, id: Id, side: Side, kind: io::ErrorKind) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let end = &mut connection.ends[side];
        if end.state == State::Closed {
            return;
        }
        end.failure = Some(kind);
        self.no_longer_pending(id, side);
        self.set_state(id, side, State::Closed);
        self.wake(id, side);
    }

    /// Ends a connection with RST. What is on the line still arrives.
    pub(crate) fn abort(&mut self, id: Id, side: Side, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let way = &mut connection.ways[side];
        let latency = way.latency;
        let mut segments = mem::take(&mut way.segments);
        segments.retain(|segment| !segment.lost && segment.due <= now + latency);
        way.clear_line(now);
        let alone = connection.ends[other(side)].state == State::Closed;
        self.no_longer_pending(id, side);
        self.set_state(id, side, State::Closed);
        if alone {
            return;
        }
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[side].segments = segments;
        }
        self.send(id, side, Kind::Rst, now);
    }

    /// Reads up to `most` bytes. Without a waker nobody is woken later.
    pub(crate) fn read(
        &mut self,
        id: Id,
        side: Side,
        waker: Option<&Waker>,
        most: usize,
        now: Instant,
        to: impl FnMut(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Ok(0));
        };
        let end = &mut connection.ends[side];
        let read = end.received.take(most, to);
        if read > 0 || most == 0 {
            self.credit(id, other(side), read, now);
        } else if end.finished {
        } else if let Some(failure) = end.failure {
            end.told = true;
            return Poll::Ready(Err(failure.into()));
        } else if end.state != State::Closed {
            if let Some(waker) = waker {
                self.retired.extend(end.reader.replace(waker.clone()));
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(read))
    }

    /// Lets a sender know, once an acknowledgement would have arrived, that bytes were read.
    fn credit(&mut self, id: Id, sender: Side, read: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let latency = connection.ways[other(sender)].latency;
        let way = &mut connection.ways[sender];
        way.space(now);
        if read > 0 {
            way.read.push_back((now + latency, read));
        }
        self.plan_space(id, sender);
    }

    /// Plans when a waiting writer is woken.
    fn plan_space(&mut self, id: Id, side: Side) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let way = &connection.ways[side];
        let waits = connection.ends[side].writer.is_some();
        if let (true, None, Some(&(at, _))) = (waits, way.space, way.read.front()) {
            let key = self.schedule(at, id, side, What::Space);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[side].space = Some(key);
            }
        }
    }

    /// A waiting writer learns of space.
    pub(crate) fn space_due(&mut self, id: Id, side: Side) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[side].space = None;
            self.wakes.extend(connection.ends[side].writer.take());
        }
    }

    /// Writes as much as the receiver's window takes.
    pub(crate) fn write(
        &mut self,
        id: Id,
        side: Side,
        waker: &Waker,
        data: &[u8],
        now: Instant,
    ) -> Poll<io::Result<usize>> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let end = &mut connection.ends[side];
        if let (Some(failure), false) = (end.failure, end.told) {
            end.told = true;
            return Poll::Ready(Err(failure.into()));
        }
        if !matches!(end.state, State::Established | State::CloseWait) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let way = &mut connection.ways[side];
        let space = way.space(now).min(data.len());
        let longest = way.longest_segment();
        if space == 0 && !data.is_empty() {
            self.retired.extend(end.writer.replace(waker.clone()));
            self.plan_space(id, side);
            return Poll::Pending;
        }
        for part in data[..space].chunks(longest) {
            self.send(id, side, Kind::Data(part.to_vec()), now);
        }
        Poll::Ready(Ok(space))
    }

    /// Sends FIN, unless that has happened.
    pub(crate) fn finish(&mut self, id: Id, side: Side, now: Instant) {
        let state = match self.state(id, side) {
            Some(State::Established) => State::FinWait1,
            Some(State::CloseWait) => State::LastAck,
            _ => return,
        };
        self.set_state(id, side, state);
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
            State::SynSent => self.set_state(id, side, State::Closed),
            State::Closing | State::LastAck if !unread => {}
            _ if unread || linger => self.abort(id, side, now),
            State::FinWait2 => self.limit_fin_wait_2(id, side, now),
            _ => self.finish(id, side, now),
        }
        self.reap(id);
    }
}
