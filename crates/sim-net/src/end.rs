//! What is kept of a connection: its two ends and its two directions.

use std::{collections::VecDeque, io, net::SocketAddr, task::Waker, time::Duration};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use tcp_table::State;
use tokio::time::Instant;

use crate::{
    config::{Forgotten, Path, WINDOW},
    segment::{Kind, Segment},
    socket::{CLIENT, SERVER, Side, other},
};

/// Longest time that is taken as it is given, a year: clocks and tokio's timers have their limits.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// The moment that is this long after `now`.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now + time.min(LONGEST)
}

/// When an event is due; the number keeps the order of those due at the same time.
pub(crate) type Key = (Instant, u64);

/// A connection, from the SYN until nothing is left at either end.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Both ends; the client's first.
    pub(crate) ends: [End; 2],
    /// Both directions; the client's first.
    pub(crate) ways: [Way; 2],
    /// What a NAT that has forgotten it does with its segments.
    pub(crate) forgotten: Option<Forgotten>,
    /// Draws latencies and losses.
    pub(crate) random: Xoshiro256PlusPlus,
    /// Whether it may have changed since the last check.
    pub(crate) touched: bool,
    /// What the last check found.
    pub(crate) audited: Audited,
}

/// One end: a socket.
#[derive(Debug)]
pub(crate) struct End {
    /// Address here.
    pub(crate) local: SocketAddr,
    /// State; `Closed` before the socket is made, too.
    pub(crate) state: State,
    /// Whether a program holds its stream.
    pub(crate) held: bool,
    /// Whether it waits for being accepted.
    pub(crate) queued: bool,
    /// Whether it has been connected.
    pub(crate) connected: bool,
    /// Whether the peer's FIN has arrived.
    pub(crate) finished: bool,
    /// Whether closing sends RST.
    pub(crate) zero_linger: bool,
    /// Why the connection failed.
    pub(crate) failure: Option<io::ErrorKind>,
    /// Whether the program knows of the failure.
    pub(crate) told: bool,
    /// What has arrived and is not yet read.
    pub(crate) received: Received,
    /// Who waits for data.
    pub(crate) reader: Option<Waker>,
    /// Who waits for space, or for the connection.
    pub(crate) writer: Option<Waker>,
    /// End of TIME_WAIT, or of an orphan's FIN_WAIT_2.
    pub(crate) timer: Option<Key>,
}

impl End {
    pub(crate) fn new(local: SocketAddr) -> Self {
        Self {
            local,
            state: State::Closed,
            held: false,
            queued: false,
            connected: false,
            finished: false,
            zero_linger: false,
            failure: None,
            told: false,
            received: Received::default(),
            reader: None,
            writer: None,
            timer: None,
        }
    }

    /// Whether nobody will ever read from it.
    pub(crate) const fn orphaned(&self) -> bool {
        !self.held && !self.queued
    }

    /// Whether nothing is left of it.
    pub(crate) fn gone(&self) -> bool {
        self.state == State::Closed && self.orphaned()
    }

    /// The owner as the system would show it: TIME_WAIT has none.
    pub(crate) fn owned(&self) -> bool {
        self.held && self.state != State::TimeWait
    }
}

/// Bytes in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Received {
    parts: VecDeque<Vec<u8>>,
    /// Bytes of the first part that are read already.
    skip: usize,
    /// Unread bytes.
    len: usize,
}

impl Received {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, part: Vec<u8>) {
        self.len += part.len();
        self.parts.push_back(part);
    }

    /// Hands out up to `most` bytes in one or more pieces. Returns their number.
    pub(crate) fn take(&mut self, most: usize, mut to: impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while taken < most {
            let Some(part) = self.parts.front() else {
                break;
            };
            let piece = &part[self.skip..];
            let piece = &piece[..piece.len().min(most - taken)];
            to(piece);
            taken += piece.len();
            self.skip += piece.len();
            if self.skip == part.len() {
                self.parts.pop_front();
                self.skip = 0;
            }
        }
        self.len -= taken;
        taken
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Way {
    /// Under way, in the order of sending.
    pub(crate) segments: VecDeque<Segment>,
    /// When the first segment is due.
    pub(crate) event: Option<Key>,
    /// Bytes that take space in the receiver's window as far as the sender knows.
    pub(crate) used: usize,
    /// Bytes that the receiver has read, and when the sender learns of it.
    pub(crate) read: VecDeque<(Instant, usize)>,
    /// When a waiting writer learns of space.
    pub(crate) space: Option<Key>,
    /// When the line is free for the next segment.
    line_free: Instant,
    /// Time from sending to arrival.
    pub(crate) latency: Duration,
    bandwidth: Option<u64>,
    /// Probability of loss.
    pub(crate) loss: f64,
}

impl Way {
    pub(crate) fn new(path: &Path, now: Instant, random: &mut Xoshiro256PlusPlus) -> Self {
        let mut way = Self {
            segments: VecDeque::new(),
            event: None,
            used: 0,
            read: VecDeque::new(),
            space: None,
            line_free: now,
            latency: Duration::ZERO,
            bandwidth: None,
            loss: 0.0,
        };
        way.follow(path, random);
        way
    }

    /// Takes on the properties of a path.
    pub(crate) fn follow(&mut self, path: &Path, random: &mut Xoshiro256PlusPlus) {
        self.latency = if path.latency.is_empty() {
            *path.latency.start()
        } else {
            random.random_range(path.latency.clone())
        }
        .min(LONGEST);
        self.bandwidth = path.bandwidth.map(|bandwidth| bandwidth.max(1));
        // A value that is no number is no loss.
        self.loss = if path.loss > 0.0 {
            path.loss.min(1.0)
        } else {
            0.0
        };
    }

    /// When a segment that is handed over now arrives. It takes the line until it is sent.
    pub(crate) fn transmit(&mut self, len: usize, now: Instant) -> Instant {
        let mut sent = self.line_free.max(now);
        if let Some(bandwidth) = self.bandwidth {
            let nanos = len as u128 * 1_000_000_000 / u128::from(bandwidth);
            sent += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        }
        self.line_free = sent;
        sent + self.latency
    }

    /// Frees the line: what was not sent yet is not sent at all.
    pub(crate) fn clear_line(&mut self, now: Instant) {
        self.line_free = self.line_free.min(now);
    }

    /// Longest segment: what the line carries in a hundredth of a second, so that a slow line hands
    /// over its data little by little, but at least an Ethernet frame's worth.
    pub(crate) fn longest_segment(&self) -> usize {
        const FRAME: usize = 1460;
        self.bandwidth.map_or(WINDOW, |bandwidth| {
            usize::try_from(bandwidth / 100).map_or(WINDOW, |len| len.clamp(FRAME, WINDOW))
        })
    }

    /// Whether something was lost and has not arrived since.
    pub(crate) fn has_lost(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.lost || segment.tries > 0)
    }

    /// Bytes under way.
    pub(crate) fn data(&self) -> usize {
        self.segments.iter().map(|segment| segment.kind.len()).sum()
    }

    /// Whether nothing is under way, or a RST comes last.
    pub(crate) fn ends_with_rst(&self) -> bool {
        self.segments
            .back()
            .is_none_or(|last| matches!(last.kind, Kind::Rst { .. }))
    }

    /// Space in the receiver's window as the sender knows it.
    pub(crate) fn space(&mut self, now: Instant) -> usize {
        while let Some(&(at, len)) = self.read.front()
            && at <= now
        {
            self.used -= len;
            self.read.pop_front();
        }
        WINDOW.saturating_sub(self.used)
    }
}

impl Connection {
    pub(crate) fn new(ends: [SocketAddr; 2], paths: [&Path; 2], seed: u64, now: Instant) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        Self {
            ends: ends.map(End::new),
            ways: paths.map(|path| Way::new(path, now, &mut random)),
            forgotten: None,
            random,
            touched: false,
            audited: Audited::default(),
        }
    }

    /// Time for a segment and its answer.
    pub(crate) fn round_trip(&self) -> Duration {
        self.ways[CLIENT].latency + self.ways[SERVER].latency
    }

    /// Address of the other end.
    pub(crate) fn remote(&self, side: Side) -> SocketAddr {
        self.ends[other(side)].local
    }
}

/// One connection's share of the [`Audit`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Audited {
    pub(crate) states: [State; 2],
    pub(crate) events: usize,
}

impl Default for Audited {
    fn default() -> Self {
        Self {
            states: [State::Closed; 2],
            events: 0,
        }
    }
}
