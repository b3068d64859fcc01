//! Whether the server's Active Requests agree with what devices and mail senders have open.
//!
//! A worker reports its counts every half second, requests need time on their way, and a server notices late that a
//! client has gone. So the comparison allows for time, and is made from both sides:
//!
//! - The server has no request that nobody sent. Each of its front-end requests is stranded, or its connection could
//!   carry one [`NOTICED`] ago, or it was begun since. And each has a connection of its own, which was there then or was
//!   made since. The same holds for all active requests, but since [`LEFT`], and the back end may have requests left
//!   on connections that the network has cut off from their front end.
//! - The server has every Ping that is surely held: sent [`ARRIVED`] before the counts were read, and still open
//!   [`ANSWERED`] after that. Not counted are Pings whose answer is being sent, and those that wait in the server's
//!   queue or whose connection is cut off, then or in the time in which they arrive.

use std::collections::VecDeque;
use std::time::Duration;

use client::transport::PortUses;
use mock_api::control::Truth;
use scenario::names::Use;
use sim_net::Linked;
use tcp_table::State;
use tokio::time::Instant;

/// The longest time after which a front end has ended a request whose client has gone.
const NOTICED: Duration = Duration::from_secs(2);
/// The longest time after which a back end has ended a request whose client has gone: the front end leaves it within
/// [`NOTICED`], and the back end takes as long again.
pub(super) const LEFT: Duration = Duration::from_secs(4);
/// The longest time until a server works on a Ping that was sent, if nothing is in its way.
pub(super) const ARRIVED: Duration = Duration::from_secs(2);
/// The longest time until a device has an answer that was sent, if nothing is in its way.
const ANSWERED: Duration = Duration::from_secs(2);

/// Which ports of the simulated server are what.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct ServerPorts {
    /// Where devices connect.
    pub(in crate::run) clients: Vec<u16>,
    /// Where its front ends connect.
    pub(in crate::run) back_ends: Vec<u16>,
}

/// Requests at one moment, from the server, the network and the clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Instant,
    /// Workers whose counts these are.
    pub(super) workers: usize,
    /// Active Requests of all workers.
    pub(super) active: u64,
    /// Front-end requests among them that are forwarded.
    pub(super) proxied: u64,
    /// Front-end requests that are never completed.
    pub(super) stranded: u64,
    /// Requests that wait for a worker.
    pub(super) queued: u64,
    /// Answers that are being sent.
    pub(super) answering: u64,
    /// Connections of clients at the server.
    pub(super) connections: u64,
    /// Those on which the server may have a request.
    pub(super) may_carry: u64,
    /// Pings and back-end connections that the network keeps from the server, or that the server has not accepted.
    pub(super) cut_off: u64,
    /// Connections at the back end that their front end has left, or cannot end because the network cuts them off.
    pub(super) orphans: u64,
    /// What devices and mail senders have begun so far.
    pub(super) begun: Begins,
}

/// Counts since the run began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Begins {
    pub(super) requests: u64,
    /// Connections that were made for them.
    pub(super) connections: u64,
}

impl Moment {
    pub(super) fn new(
        truth: &Truth,
        connections: &[Linked],
        ports: &ServerPorts,
        uses: &PortUses,
        begun: Begins,
    ) -> Self {
        let (mut at_server, mut may_carry, mut cut_off, mut orphans) = (0, 0, 0, 0);
        for linked in connections {
            let port = linked.server.local.port();
            let server_lives = matches!(linked.server.state, State::Established | State::CloseWait);
            let client_lives = linked.client.owned && linked.client.state == State::Established;
            if ports.back_ends.contains(&port) {
                cut_off += u64::from(linked.is_cut);
                orphans += u64::from(server_lives && (linked.is_cut || !client_lives));
            }
            if !ports.clients.contains(&port) {
                continue;
            }
            let used = uses.end(linked.client.local).map(|end| uses.get(end));
            let used = used.filter(|_| client_lives);
            at_server += u64::from(server_lives);
            may_carry += u64::from(server_lives && used != Some(Use::Idle));
            let is_known = server_lives && linked.server.owned && !linked.is_cut;
            cut_off += u64::from(used == Some(Use::Held) && !is_known);
        }
        Self {
            at: Instant::now(),
            workers: truth.workers.len(),
            active: truth.sum(|counts| counts.active),
            proxied: truth.sum(|counts| counts.outstanding_proxy),
            stranded: truth.sum(|counts| counts.stranded),
            queued: truth.queued,
            answering: truth.answering,
            connections: at_server,
            may_carry,
            cut_off,
            orphans,
            begun,
        }
    }

    /// The most requests that a server can have now of those that were sent: its connections could carry them then, or
    /// they were begun since. Each has a connection, which was there then or was made since. Several workers report at
    /// different times: a client that leaves one for another may have a request in the counts of both.
    fn sent_since(&self, then: Option<Self>) -> u64 {
        // Before the run nobody had a request open.
        let (carried, connections, begun) = then.map_or((0, 0, Begins::default()), |then| {
            (then.may_carry, then.connections, then.begun)
        });
        let requests = carried + (self.begun.requests - begun.requests);
        if self.workers > 1 {
            return requests;
        }
        requests.min(connections + (self.begun.connections - begun.connections))
    }

    /// Whether nothing keeps a held Ping from its answer now.
    pub(super) const fn is_calm(&self) -> bool {
        self.queued == 0 && self.answering == 0 && self.cut_off == 0
    }
}

/// The moments of the last seconds.
#[derive(Debug)]
pub(super) struct Balance {
    /// Active Requests of each Ping.
    per_ping: u64,
    /// Whether a Ping strands only when its client gives it up.
    strands_given_up: bool,
    past: VecDeque<Moment>,
}

impl Balance {
    pub(super) const fn new(per_ping: u64, strands_given_up: bool) -> Self {
        Self {
            per_ping,
            strands_given_up,
            past: VecDeque::new(),
        }
    }

    /// Compares; says what does not agree. `open` counts the open Pings that were sent by a time.
    pub(super) fn compare(&mut self, now: Moment, open: impl Fn(Instant) -> u64) -> Vec<String> {
        let mut found = Vec::new();
        self.past.push_back(now);
        let until = |length: Duration| {
            let past = self.past.iter().rev();
            past.copied().find(|moment| moment.at + length <= now.at)
        };
        found.extend(self.too_many(&now, until(NOTICED), until(LEFT)));
        if let Some(then) = until(ANSWERED) {
            found.extend(self.too_few(&then, open));
        }
        let oldest = NOTICED.max(LEFT).max(ARRIVED + ANSWERED);
        while self
            .past
            .get(1)
            .is_some_and(|second| second.at + oldest <= now.at)
        {
            self.past.pop_front();
        }
        found
    }

    fn too_many(
        &self,
        now: &Moment,
        then: Option<Moment>,
        before: Option<Moment>,
    ) -> Option<String> {
        let live = now.proxied.saturating_sub(now.stranded);
        let sent = now.sent_since(then);
        // Back-end requests end later than those of the front end.
        let orphans = before.map_or(0, |before| before.orphans).max(now.orphans);
        let limit = self.per_ping * (now.sent_since(before) + now.stranded) + orphans;
        (live > sent || now.active > limit).then(|| {
            format!(
                "the server has {} active requests, {} of them forwarded and {} stranded; clients have sent no more \
                 than {sent} that the front end can still have, and with the back end no more than {limit}",
                now.active, now.proxied, now.stranded
            )
        })
    }

    fn too_few(&self, then: &Moment, open: impl Fn(Instant) -> u64) -> Option<String> {
        let held = then.at.checked_sub(ARRIVED).map_or(0, open);
        // Others may be stranded and still open.
        let stranded = if self.strands_given_up {
            then.stranded
        } else {
            0
        };
        // Pings that waited or were cut off until a moment before may not be in the counts yet.
        let arriving = |moment: &&Moment| moment.at + ARRIVED >= then.at;
        let arriving = self.past.iter().filter(arriving);
        let (queued, cut_off) = arriving.fold((0, 0), |(queued, cut_off), moment| {
            (queued.max(moment.queued), cut_off.max(moment.cut_off))
        });
        let away = queued + then.answering + cut_off;
        let least = (self.per_ping * held.saturating_sub(away)) + stranded;
        (held > away && then.active < least).then(|| {
            format!(
                "{held} Pings are held and {stranded} requests are stranded, and the server has only {} active \
                 requests, {queued} in its queue, {} answers on their way and {cut_off} connections cut off",
                then.active, then.answering
            )
        })
    }
}
