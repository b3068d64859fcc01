//! The network as its users see it.

use std::{future::poll_fn, io, net::SocketAddr, sync::Arc};

use tcp_table::State;

use crate::{
    config::{Host, Linked, Local, Path, Ports, Row, System},
    end::Connection,
    inner::Inner,
    listener::SimListener,
    ports::{Counts, index},
    shared::Shared,
    socket::{CLIENT, Id, SERVER, Side},
    stream::SimStream,
    trace::Entry,
};

/// A simulated network. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct SimNet {
    pub(crate) shared: Arc<Shared>,
}

impl SimNet {
    /// A network in which all paths have the properties `defaults` and all hosts are
    /// [`System::default`].
    #[must_use]
    pub fn new(seed: u64, defaults: Path) -> Self {
        Self {
            shared: Shared::new(seed, defaults),
        }
    }

    /// Listens at an endpoint. With port 0 the lowest free port from 10000 up is taken. Listening at
    /// the unspecified address means all addresses at whose port nobody else listens.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if somebody listens there.
    pub fn listen(&self, at: SocketAddr, backlog: usize) -> io::Result<SimListener> {
        let at = self.shared.with(|inner, _| inner.listen(at, backlog))?;
        Ok(SimListener::new(Arc::clone(&self.shared), at))
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if nobody listens there, `AddrNotAvailable` if no local port is free
    /// towards that endpoint, `TimedOut` if there is no answer, `InvalidInput` if one endpoint is
    /// IPv4 and the other IPv6.
    pub async fn connect(&self, local: Local, to: SocketAddr) -> io::Result<SimStream> {
        let (id, at) = self.shared.with(|inner, now| inner.open(&local, to, now))?;
        // Made before waiting: if the caller does not wait to the end, its drop closes the socket.
        let stream = SimStream::new(Arc::clone(&self.shared), id, CLIENT, at, to);
        poll_fn(|context| stream.poll_connected(context)).await?;
        Ok(stream)
    }

    /// Sets the system of a host. Timers that run already keep their time.
    pub fn set_system(&self, host: Host, system: System) {
        self.shared
            .with(|inner, _| inner.systems.insert(host, system));
    }

    /// Sets the system of all hosts that have none of their own.
    pub fn set_default_system(&self, system: System) {
        self.shared.with(|inner, _| inner.default_system = system);
    }

    /// All sockets: listening ones first, then both ends of each connection in the order of
    /// connecting.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.shared.with(|inner, _| inner.rows())
    }

    /// As [`SimNet::rows`], without connected ones (ESTABLISHED), and with that remote port if one is given.
    /// Costs no more with more sockets that are not asked for.
    #[must_use]
    pub fn rows_but_established(&self, remote_port: Option<u16>) -> Vec<Row> {
        self.shared
            .with(|inner, _| inner.rows_but_established(remote_port))
    }

    /// All connections in no particular order, until both ends are gone.
    #[must_use]
    pub fn connections(&self) -> Vec<Linked> {
        self.shared.with(|inner, _| inner.linked())
    }

    /// Tasks of the runtime that the network needs now: one while anything is due, otherwise none.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.shared
            .with(|inner, _| usize::from(inner.next_event().is_some()))
    }

    /// Sockets in each state, in the order of [`State::ALL`]. Costs no more with more sockets,
    /// unless both ports are given.
    #[must_use]
    pub fn counts(&self, ports: Ports) -> [u32; State::ALL.len()] {
        self.shared.with(|inner, _| inner.counts(ports))
    }

    /// Ends of connections that were made so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.shared.with(|inner, _| inner.census.opened)
    }

    /// Ends of connections that are gone.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.shared.with(|inner, _| inner.census.closed)
    }

    /// Keeps a record of the latest entries, up to this number. The default is 0, which costs nothing.
    pub fn record(&self, limit: usize) {
        self.shared.with(|inner, _| inner.trace.limit_to(limit));
    }

    /// The record, oldest entry first.
    #[must_use]
    pub fn trace(&self) -> Vec<Entry> {
        self.shared.with(|inner, _| inner.trace.entries())
    }
}

impl Inner {
    pub(crate) fn rows(&self) -> Vec<Row> {
        let connected = self.connections.iter();
        let ends = connected
            .flat_map(|(_, connection)| [CLIENT, SERVER].map(|side| row(connection, side)));
        self.listening()
            .chain(ends.filter(|row| row.state != State::Closed))
            .collect()
    }

    fn rows_but_established(&self, remote_port: Option<u16>) -> Vec<Row> {
        let wanted = match remote_port {
            Some(port) => (port, (Id::MIN, CLIENT))..=(port, (Id::MAX, SERVER)),
            None => (u16::MIN, (Id::MIN, CLIENT))..=(u16::MAX, (Id::MAX, SERVER)),
        };
        let mut sockets: Vec<_> = self.unsettled.range(wanted).map(|(_, at)| *at).collect();
        sockets.sort_unstable();
        let ends = sockets.into_iter();
        let ends = ends.filter_map(|(id, side)| Some(row(self.connections.get(&id)?, side)));
        let listening = self.listening();
        listening
            .filter(|row| remote_port.is_none_or(|port| row.remote.port() == port))
            .chain(ends)
            .collect()
    }

    fn listening(&self) -> impl Iterator<Item = Row> {
        self.listeners.keys().map(|at| Row {
            state: State::Listening,
            local: *at,
            remote: SocketAddr::new(at.ip(), 0),
            owned: true,
        })
    }

    fn linked(&self) -> Vec<Linked> {
        let connections = self.connections.unordered();
        let linked = connections.map(|(id, connection)| Linked {
            client: row(connection, CLIENT),
            server: row(connection, SERVER),
            is_cut: connection.forgotten.is_some()
                || connection.ways.iter().any(crate::end::Way::has_lost)
                || self.separated(id),
        });
        linked.collect()
    }

    pub(crate) fn counts(&self, ports: Ports) -> Counts {
        self.census.counts(ports).unwrap_or_else(|| {
            let mut counts = Counts::default();
            for row in self.rows() {
                if ports.local.is_none_or(|port| row.local.port() == port)
                    && ports.remote.is_none_or(|port| row.remote.port() == port)
                    && ports.ipv6.is_none_or(|ipv6| row.local.is_ipv6() == ipv6)
                {
                    counts[index(row.state)] += 1;
                }
            }
            counts
        })
    }
}

fn row(connection: &Connection, side: Side) -> Row {
    let end = &connection.ends[side];
    Row {
        state: end.state,
        local: end.local,
        remote: connection.remote(side),
        owned: end.owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Forgotten;

    #[tokio::test(start_paused = true)]
    async fn connections_show_both_ends_and_what_cuts_them() {
        let net = SimNet::new(1, Path::default());
        let [here, there] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().expect("an address"));
        let at = SocketAddr::new(there, 443);
        let listener = net.listen(at, 8).expect("free");
        let connect = || net.connect(Local::ephemeral(here), at);
        let client = connect().await.expect("connected");
        let (server, _) = listener.accept().await.expect("accepted");
        let only = || {
            let mut all = net.connections();
            assert_eq!(all.len(), 1);
            all.remove(0)
        };
        let is_open = |row: &Row| row.owned && row.state == State::Established;
        let linked = only();
        assert!(is_open(&linked.client) && is_open(&linked.server));
        assert_eq!(
            (linked.client.local, linked.server.remote),
            (linked.server.remote, linked.client.local)
        );
        assert!(!linked.is_cut);
        net.partition(here, there);
        assert!(only().is_cut);
        net.heal(here, there);
        assert!(!only().is_cut, "nothing was sent meanwhile");
        net.partition(here, there);
        drop(client);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        net.heal(here, there);
        let linked = only();
        assert!(linked.is_cut, "the FIN was lost and is not sent again yet");
        assert!(!linked.client.owned && is_open(&linked.server));
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        assert!(!only().is_cut);
        assert_eq!(only().server.state, State::CloseWait);
        net.forget(|_| true, Forgotten::Vanish);
        assert!(only().is_cut);
        drop(server);
    }

    #[tokio::test(start_paused = true)]
    async fn network_needs_a_task_while_something_is_due() {
        let net = SimNet::new(1, Path::default());
        let at = "10.0.0.2:443".parse().expect("an endpoint");
        let listener = net.listen(at, 8).expect("free");
        assert_eq!(net.tasks(), 0);
        let local = Local::ephemeral("10.0.0.1".parse().expect("an address"));
        let client = net.connect(local, at).await.expect("connected");
        let server = listener.accept().await.expect("accepted");
        drop((client, server));
        assert_eq!(net.tasks(), 1);
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        assert_eq!(tasks(), 1);
        tokio::time::sleep(System::default().time_wait * 2).await;
        assert_eq!((net.tasks(), tasks()), (0, 0));
    }
}
