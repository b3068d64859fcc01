//! Whether the network's books agree with each other.

use tcp_table::State;

use crate::{
    config::Ports,
    end::{CLIENT, Connection, Key, SERVER, Side, other},
    inner::{Event, Id, Inner, What},
    net::SimNet,
    ports::Counts,
};

impl SimNet {
    /// Looks for contradictions: sockets opened are closed or open; the counts are those of the rows;
    /// nothing waits for a socket that is gone, no segment is under way from one (but RST), and none keeps a
    /// port. Returns a sentence for each; none is right. Takes time with the number of sockets.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        self.shared.with(|inner, _| inner.check())
    }
}

impl Inner {
    fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_counts(&mut found);
        self.check_ports(&mut found);
        self.check_listeners(&mut found);
        let mut events = 0;
        for (id, connection) in &self.connections {
            if connection.ends.iter().all(crate::end::End::gone) {
                found.push(format!("connection {id} is gone and still known"));
            }
            for side in [CLIENT, SERVER] {
                let mut wrong = |what: &str| {
                    let end = &connection.ends[side];
                    found.push(format!(
                        "connection {id}, end {} in {}: {what}",
                        end.local,
                        end.state.netstat()
                    ));
                };
                check_end(connection, side, &mut wrong);
                check_way(connection, side, &mut wrong);
                events += self.check_events(*id, connection, side, &mut wrong);
            }
        }
        if events != self.events.len() {
            found.push(format!(
                "{} events are planned, connections know {events}",
                self.events.len()
            ));
        }
        found
    }

    fn check_counts(&self, found: &mut Vec<String>) {
        let mut counts = Counts::default();
        for row in self.rows() {
            counts[crate::ports::index(row.state)] += 1;
        }
        let known = self.counts(Ports::default());
        if counts != known {
            found.push(format!("states are {counts:?}, counted were {known:?}"));
        }
        let listening = counts[crate::ports::index(State::Listening)];
        let open = u64::from(counts.iter().sum::<u32>() - listening);
        let (opened, closed) = (self.census.opened, self.census.closed);
        if opened != closed + open {
            found.push(format!(
                "{opened} sockets were opened, {closed} closed, and {open} are open"
            ));
        }
    }

    fn check_ports(&self, found: &mut Vec<String>) {
        let mut taken = 0;
        for (local, remote, (id, side)) in self.taken.iter() {
            taken += 1;
            if !self.connections.get(&id).is_some_and(|connection| {
                let end = &connection.ends[side];
                end.local == local
                    && connection.remote(side) == remote
                    && end.state != State::Closed
            }) {
                found.push(format!("{local} is taken towards {remote} by no socket"));
            }
        }
        let sockets = self
            .connections
            .values()
            .flat_map(|connection| &connection.ends)
            .filter(|end| end.state != State::Closed)
            .count();
        if taken != sockets {
            found.push(format!("{sockets} sockets have {taken} ports"));
        }
    }

    fn check_listeners(&self, found: &mut Vec<String>) {
        for (at, listener) in &self.listeners {
            let waiting = |id: &Id, queued: bool| {
                self.connections.get(id).is_some_and(|connection| {
                    let end = &connection.ends[SERVER];
                    end.queued == queued && !end.held
                })
            };
            if listener.pending.len() + listener.queue.len() > listener.backlog {
                found.push(format!("listener {at} has more than its backlog"));
            }
            if !listener
                .pending
                .iter()
                .all(|id| waiting(id, false) && self.state(*id, SERVER) == Some(State::SynReceived))
            {
                found.push(format!("listener {at} expects a connection that is gone"));
            }
            if !listener.queue.iter().all(|id| waiting(id, true)) {
                found.push(format!("listener {at} queues a connection that is gone"));
            }
        }
    }

    /// Returns how many events the direction has.
    fn check_events(
        &self,
        id: Id,
        connection: &Connection,
        side: Side,
        wrong: &mut impl FnMut(&str),
    ) -> usize {
        let way = &connection.ways[side];
        let known: [(Option<Key>, What); 3] = [
            (way.event, What::Segment),
            (way.space, What::Space),
            (connection.ends[side].timer, What::Timer),
        ];
        let mut events = 0;
        for (key, what) in known {
            let Some(key) = key else { continue };
            events += 1;
            if self.events.get(&key) != Some(&Event { id, side, what }) {
                wrong(&format!("its event {what:?} is not planned"));
            }
        }
        events
    }
}

fn check_end(connection: &Connection, side: Side, wrong: &mut impl FnMut(&str)) {
    let end = &connection.ends[side];
    if (end.state == State::Closed || !end.held) && (end.reader.is_some() || end.writer.is_some()) {
        wrong("somebody waits for it");
    }
    if end.orphaned() && end.received.len() > 0 {
        wrong("data that nobody will read is kept");
    }
    let limited = match end.state {
        State::SynSent | State::TimeWait => true,
        State::FinWait2 => end.orphaned(),
        _ => false,
    };
    if limited != end.timer.is_some() {
        wrong(if limited {
            "nothing ends its state"
        } else {
            "a timer runs"
        });
    }
}

fn check_way(connection: &Connection, side: Side, wrong: &mut impl FnMut(&str)) {
    let way = &connection.ways[side];
    let (from, to) = (&connection.ends[side], &connection.ends[other(side)]);
    if way.segments.is_empty() == way.event.is_some() {
        wrong("segments and their event disagree");
    }
    if from.state == State::Closed && way.space.is_some() {
        wrong("an event is planned for its writer");
    }
    if from.state == State::Closed && !way.ends_with_rst() {
        wrong("segments are under way");
    }
    if way.space.is_none() && from.writer.is_some() && !way.read.is_empty() {
        wrong("nobody will wake its writer");
    }
    let used = way.data() + to.received.len() + way.read.iter().map(|(_, len)| len).sum::<usize>();
    let flows = from.state != State::Closed && to.state != State::Closed && !to.orphaned();
    if flows && used != way.used {
        wrong(&format!(
            "{used} bytes are in its window, {} counted",
            way.used
        ));
    }
}
