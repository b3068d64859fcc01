//! Segments under way: loss, partitions, sending again.

use std::{collections::VecDeque, io, time::Duration};

use rand::Rng;
use tcp_table::State;
use tokio::time::Instant;

use crate::{
    config::Forgotten,
    end::Connection,
    inner::{Inner, What},
    segment::{Kind, Segment},
    socket::{Id, Side, other},
    trace::Happened,
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
            refused: false,
            tries: 0,
        });
        let last = way.segments.len() - 1;
        self.transmit(id, from, last, now);
        self.arm(id, from, now);
    }

    /// Puts a segment of the queue on the line, and decides whether it is lost.
    fn transmit(&mut self, id: Id, from: Side, place: usize, now: Instant) {
        let separated = self.separated(id);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Connection {
            ways,
            random,
            forgotten,
            ..
        } = connection;
        let blocked = separated || *forgotten == Some(Forgotten::Vanish);
        let way = &mut ways[from];
        let loss = way.loss;
        let Some(segment) = way.segments.get_mut(place) else {
            return;
        };
        segment.sent = now;
        segment.lost = blocked
            || (loss > 0.0
                && !matches!(segment.kind, Kind::Rst { .. })
                && random.random_bool(loss));
        segment.refused = *forgotten == Some(Forgotten::Reset);
        let len = segment.kind.len();
        let sent = Happened::Sent {
            segment: segment.kind.name(),
            bytes: len,
            lost: segment.lost,
        };
        let arrival = way.transmit(len, now);
        let segment = &mut way.segments[place];
        segment.due = arrival;
        if segment.lost {
            let retry = self.retry_at(id, from, place);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[from].segments[place].due = retry;
            }
        }
        self.trace(id, from, sent, now);
    }

    /// When a segment of the queue is sent again if it is lost.
    fn retry_at(&self, id: Id, from: Side, place: usize) -> Instant {
        let connection = &self.connections[&id];
        let segment = &connection.ways[from].segments[place];
        let first = match segment.kind {
            Kind::Syn | Kind::SynAck => SYN_TIMEOUT,
            _ => {
                let system = self.system(connection.ends[from].local.ip());
                system
                    .retransmission_timeout
                    .saturating_add(connection.round_trip())
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
        let blocked = self.separated(id) || self.syn_vanishes(id, from, now);
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let way = &mut connection.ways[from];
        way.event = None;
        let closed = connection.ends[from].state == State::Closed;
        let Some(first) = way.segments.front_mut() else {
            return;
        };
        if first.lost {
            self.send_again(id, from, now);
        } else if blocked && closed && !matches!(first.kind, Kind::Rst { .. }) {
            self.drop_all_but_rst(id, from, now);
        } else if blocked {
            first.lost = true;
            let retry = self.retry_at(id, from, 0);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.ways[from].segments[0].due = retry;
            }
        } else if let Some(segment) = way.segments.pop_front() {
            self.arm(id, from, now);
            if segment.refused {
                self.refused(id, from, now);
                self.unanswered(id, other(from), &segment.kind, now);
            } else {
                self.arrive(id, from, segment.kind, now);
            }
        }
        self.arm(id, from, now);
    }

    /// An answer will never arrive. Who waits for it sends again what was answered, and learns so how
    /// things stand.
    pub(crate) fn unanswered(&mut self, id: Id, waiting: Side, answer: &Kind, now: Instant) {
        let Some(state) = self.state(id, waiting) else {
            return;
        };
        let again = match (answer, state) {
            (Kind::Data(_) | Kind::Fin | Kind::Rst { answers: false }, _) => return,
            (Kind::Syn | Kind::SynAck, _) | (_, State::Closed | State::TimeWait) => return,
            (_, State::SynReceived) => Kind::SynAck,
            (_, State::FinWait1 | State::Closing | State::LastAck) => Kind::Fin,
            (Kind::Rst { .. }, State::SynSent) => Kind::Syn,
            // What the data was does not matter to a socket that is gone.
            (Kind::Rst { .. }, _) => Kind::Data(Vec::new()),
            (Kind::Ack | Kind::FinAck, _) => return,
        };
        self.send(id, waiting, again, now);
    }

    /// A segment was lost that its sender, which is gone, does not send again. The peer's program gets
    /// nothing of what is behind the gap, but the RST ends the connection all the same.
    fn drop_all_but_rst(&mut self, id: Id, from: Side, now: Instant) {
        let (kept, removed): (VecDeque<_>, VecDeque<_>) = self
            .clear(id, from)
            .into_iter()
            .partition(|segment| matches!(segment.kind, Kind::Rst { .. }));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ways[from].segments = kept;
        }
        for segment in removed {
            self.unanswered(id, other(from), &segment.kind, now);
        }
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
            Kind::Rst { .. } => 0,
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
        let Some(segment) = connection.ways[from].segments.pop_front() else {
            return;
        };
        match segment.kind {
            Kind::Rst { .. } => self.unanswered(id, other(from), &segment.kind, now),
            Kind::Ack | Kind::FinAck => self.fail(id, other(from), io::ErrorKind::TimedOut, now),
            _ => self.fail(id, from, io::ErrorKind::TimedOut, now),
        }
    }
}
