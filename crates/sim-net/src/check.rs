//! Whether the network's books agree with each other.

use tcp_table::State;

use crate::{
    config::Ports,
    connections::Audit,
    end::{Audited, Connection, Key},
    inner::{Event, Inner, What},
    net::SimNet,
    ports::{Counts, index},
    socket::{CLIENT, Id, SERVER, Side, other},
};

impl SimNet {
    /// Looks for contradictions: sockets opened are closed or open; the counts are those of the rows;
    /// nothing waits for a socket that is gone, no segment is under way from one (but RST), and none keeps a
    /// port. Returns a sentence for each; none is right. Takes time with the number of sockets.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        self.shared.with(|inner, _| inner.check())
    }

    /// As [`SimNet::check`], of what has changed since the last call: connections that were touched, and the
    /// sums over all. Takes time with the number of changes, so a simulation can afford it each second.
    #[must_use]
    pub fn check_changes(&self) -> Vec<String> {
        self.shared.with(|inner, _| {
            let found = inner.check_changes();
            if found.is_empty() {
                return found;
            }
            // Says more of what is wrong with the sums.
            let all = inner.check();
            if all.is_empty() { found } else { all }
        })
    }
}

impl Inner {
    fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_counts(&mut found);
        self.check_ports(&mut found);
        self.check_listeners(&mut found);
        let mut events = 0;
        for (id, connection) in self.connections.iter() {
            events += self.check_connection(id, connection, &mut found);
        }
        self.check_number_of_events(events, &mut found);
        found
    }

    fn check_changes(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        for id in self.connections.take_touched() {
            let Some(connection) = self.connections.get(&id) else {
                continue;
            };
            let events = self.check_connection(id, connection, &mut found);
            let states = [CLIENT, SERVER].map(|side| connection.ends[side].state);
            for side in [CLIENT, SERVER] {
                let (local, remote) = (connection.ends[side].local, connection.remote(side));
                let is_open = connection.ends[side].state != State::Closed;
                if is_open && self.taken.get(local, remote) != Some((id, side)) {
                    found.push(format!("connection {id}, end {local}: it has no port"));
                }
            }
            self.connections.audited(id, Audited { states, events });
        }
        let Audit { counts, events } = *self.connections.audit();
        let sockets: u32 = counts.iter().sum();
        if self.taken.len() != sockets as usize {
            let taken = self.taken.len();
            found.push(format!("{sockets} sockets have {taken} ports"));
        }
        self.check_number_of_events(events, &mut found);
        self.check_sums(counts, &mut found);
        self.check_listeners(&mut found);
        found
    }

    /// Looks at one connection; returns how many events it knows of.
    fn check_connection(&self, id: Id, connection: &Connection, found: &mut Vec<String>) -> usize {
        if connection.ends.iter().all(crate::end::End::gone) {
            found.push(format!("connection {id} is gone and still known"));
        }
        let mut events = 0;
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
            events += self.check_events(id, connection, side, &mut wrong);
        }
        events
    }

    fn check_number_of_events(&self, events: usize, found: &mut Vec<String>) {
        if events != self.events.len() {
            found.push(format!(
                "{} events are planned, connections know {events}",
                self.events.len()
            ));
        }
    }

    fn check_counts(&self, found: &mut Vec<String>) {
        let mut counts = Counts::default();
        for (_, connection) in self.connections.iter() {
            for end in connection
                .ends
                .iter()
                .filter(|end| end.state != State::Closed)
            {
                counts[index(end.state)] += 1;
            }
        }
        self.check_sums(counts, found);
    }

    /// `counts` are those of all connections.
    fn check_sums(&self, mut counts: Counts, found: &mut Vec<String>) {
        counts[index(State::Listening)] += self.listeners.len() as u32;
        let known = self.counts(Ports::default());
        if counts != known {
            found.push(format!("states are {counts:?}, counted were {known:?}"));
        }
        let listening = counts[index(State::Listening)];
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
            .iter()
            .flat_map(|(_, connection)| &connection.ends)
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

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::{io::AsyncWriteExt, time::Instant};

    use super::*;
    use crate::{Local, Path, SimListener, SimStream};

    /// A network with a connection that has data under way, one in TIME_WAIT, and one that nobody
    /// accepted yet.
    async fn net() -> (SimNet, SimListener, Vec<SimStream>) {
        let net = SimNet::new(1, Path::default());
        let at = "10.0.0.2:443".parse().expect("an endpoint");
        let listener = net.listen(at, 8).expect("free");
        let local = Local::ephemeral("10.0.0.1".parse().expect("an address"));
        let connect = || net.connect(local.clone(), at);
        let mut client = connect().await.expect("connected");
        let server = listener.accept().await.expect("accepted").0;
        let closed = connect().await.expect("connected");
        drop(listener.accept().await.expect("accepted"));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        drop(closed);
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let waiting = connect().await.expect("connected");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        client.write_all(b"under way").await.expect("written");
        (net, listener, vec![client, server, waiting])
    }

    type Damage = fn(&mut Inner);

    /// Connection 0 is open, 1 is in TIME_WAIT at the server, 2 is queued.
    const DAMAGES: [(&str, Damage); 14] = [
        ("sockets were opened", |inner| inner.census.opened += 1),
        ("counted were", |inner| {
            let at = "10.0.0.1:1".parse().expect("an endpoint");
            inner.census.change(at, at, State::Closed, State::LastAck);
        }),
        ("is taken towards", |inner| {
            let at = "10.0.0.1:1".parse().expect("an endpoint");
            inner.taken.insert(at, at, (0, CLIENT));
        }),
        ("sockets have", |inner| {
            let (local, remote, socket) = inner.taken.iter().next().expect("some");
            inner.taken.remove(local, remote, socket);
        }),
        ("expects a connection that is gone", |inner| {
            listener(inner).pending.insert(0);
        }),
        ("queues a connection that is gone", |inner| {
            listener(inner).queue.push_back(99);
        }),
        ("more than its backlog", |inner| listener(inner).backlog = 0),
        ("is gone and still known", |inner| {
            let at = "10.0.0.1:1".parse().expect("an endpoint");
            let path = Path::default();
            let gone = Connection::new([at, at], [&path, &path], 1, Instant::now());
            inner.connections.insert(99, Box::new(gone));
        }),
        ("is not planned", |inner| inner.events.clear()),
        ("events are planned", |inner| {
            inner.schedule(
                Instant::now() + crate::System::LINUX.time_wait,
                0,
                0,
                What::Timer,
            );
        }),
        ("somebody waits for it", |inner| {
            end(inner, 1, SERVER).reader = Some(Waker::noop().clone());
        }),
        ("data that nobody will read", |inner| {
            end(inner, 1, SERVER).received.push(vec![1]);
        }),
        ("nothing ends its state", |inner| {
            end(inner, 1, SERVER).timer = None
        }),
        ("bytes are in its window", |inner| {
            inner.connections.get_mut(&0).expect("open").ways[CLIENT].used += 1;
        }),
    ];

    fn listener(inner: &mut Inner) -> &mut crate::backlog::Listener {
        inner.listeners.values_mut().next().expect("one")
    }

    fn end(inner: &mut Inner, id: Id, side: Side) -> &mut crate::end::End {
        &mut inner.connections.get_mut(&id).expect("known").ends[side]
    }

    #[tokio::test(start_paused = true)]
    async fn sound_network_has_nothing_to_report() {
        let (net, _listener, _streams) = net().await;
        assert_eq!(net.check(), [""; 0]);
        assert_eq!(net.check_changes(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_of_changes_looks_at_connections_that_were_touched() {
        let (net, listener, streams) = net().await;
        assert_eq!(net.check_changes(), [""; 0]);
        assert_eq!(net.shared.lock().connections.take_touched(), [0; 0]);
        end(&mut net.shared.lock(), 0, SERVER).finished = true;
        end(&mut net.shared.lock(), 0, CLIENT).finished = true;
        assert_eq!(net.shared.lock().connections.take_touched(), [0]);
        std::mem::forget((net, listener, streams));
    }

    #[tokio::test(start_paused = true)]
    async fn each_damage_is_reported() {
        for (expected, damage) in DAMAGES {
            let (net, listener, streams) = net().await;
            assert_eq!(net.check_changes(), [""; 0]);
            damage(&mut net.shared.lock());
            for found in [net.check(), net.check_changes()] {
                assert!(
                    found.iter().any(|found| found.contains(expected)),
                    "{expected:?} is missing in {found:?}"
                );
            }
            // What is damaged is not closed.
            std::mem::forget((net, listener, streams));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn segments_without_an_event_and_timers_without_a_reason_are_reported() {
        let (net, listener, streams) = net().await;
        {
            let mut inner = net.shared.lock();
            inner.connections.get_mut(&0).expect("open").ways[CLIENT]
                .segments
                .clear();
            end(&mut inner, 0, SERVER).timer = Some((Instant::now(), 0));
            end(&mut inner, 0, CLIENT).state = State::Closed;
            inner.connections.get_mut(&0).expect("open").ways[CLIENT].space =
                Some((Instant::now(), 0));
        }
        let found = net.check().join("\n");
        for expected in [
            "their event disagree",
            "a timer runs",
            "planned for its writer",
        ] {
            assert!(
                found.contains(expected),
                "{expected:?} is missing in {found}"
            );
        }
        std::mem::forget((net, listener, streams));
    }
}
