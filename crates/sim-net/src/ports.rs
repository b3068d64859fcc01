//! Which ports are taken, and the counts of sockets by state and port.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use tcp_table::State;

use crate::{
    config::{Local, Ports},
    socket::Socket,
};

/// Sockets by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// By local address and remote endpoint, then by local port.
    towards: BTreeMap<(IpAddr, SocketAddr), BTreeMap<u16, Socket>>,
    /// After which port the search goes on, for each local address. Ports are used in turn, as
    /// systems do, so that one that was just released is used late.
    last: BTreeMap<IpAddr, u16>,
    /// Sockets that are taken.
    len: usize,
}

impl Taken {
    pub(crate) fn insert(&mut self, local: SocketAddr, remote: SocketAddr, socket: Socket) {
        let ports = self.towards.entry((local.ip(), remote)).or_default();
        let before = ports.insert(local.port(), socket);
        self.len += usize::from(before.is_none());
    }

    /// Removes a socket, unless another has taken its place.
    pub(crate) fn remove(&mut self, local: SocketAddr, remote: SocketAddr, socket: Socket) {
        let key = (local.ip(), remote);
        if let Some(ports) = self.towards.get_mut(&key)
            && ports.get(&local.port()) == Some(&socket)
        {
            ports.remove(&local.port());
            self.len -= 1;
            if ports.is_empty() {
                self.towards.remove(&key);
            }
        }
    }

    pub(crate) fn get(&self, local: SocketAddr, remote: SocketAddr) -> Option<Socket> {
        self.towards
            .get(&(local.ip(), remote))
            .and_then(|ports| ports.get(&local.port()))
            .copied()
    }

    /// How many sockets there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// All sockets with their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr, Socket)> {
        self.towards.iter().flat_map(|((address, remote), ports)| {
            ports
                .iter()
                .map(|(port, socket)| (SocketAddr::new(*address, *port), *remote, *socket))
        })
    }

    /// Finds a port. The search begins after the port found last at that address and goes once
    /// round the range. Ports for which `usable` is true are taken if they have a socket, and only
    /// if no port is free.
    pub(crate) fn find(
        &mut self,
        local: &Local,
        remote: SocketAddr,
        blocked: impl Fn(u16) -> bool,
        usable: impl Fn(Socket) -> bool,
    ) -> Option<u16> {
        let (first, last) = (*local.ports.start(), *local.ports.end());
        let middle = self
            .last
            .get(&local.address)
            .filter(|port| local.ports.contains(port))
            .map_or(u32::from(first), |port| u32::from(*port) + 1);
        let order = || {
            (middle..=u32::from(last))
                .chain(u32::from(first)..middle)
                .filter_map(|port| u16::try_from(port).ok())
                .filter(|port| !blocked(*port))
        };
        let none = BTreeMap::new();
        let ports = self.towards.get(&(local.address, remote)).unwrap_or(&none);
        let all = local.ports.len();
        // Counting takes a while with thousands of sockets, and a range is rarely full.
        let full = all > 0 && ports.len() >= all && ports.range(local.ports.clone()).count() == all;
        let free = if full {
            None
        } else {
            order().find(|port| !ports.contains_key(port))
        };
        let found = free.or_else(|| {
            order().find(|port| ports.get(port).is_some_and(|socket| usable(*socket)))
        })?;
        self.last.insert(local.address, found);
        Some(found)
    }
}

/// Sockets in each state, in the order of [`State::ALL`].
pub(crate) type Counts = [u32; State::ALL.len()];

/// Counts of sockets by family: IPv4 first.
type Families = [Counts; 2];

/// Counts of sockets.
#[derive(Debug, Default)]
pub(crate) struct Census {
    all: Families,
    local: BTreeMap<u16, Families>,
    remote: BTreeMap<u16, Families>,
    /// Sockets that were made.
    pub(crate) opened: u64,
    /// Sockets that are gone.
    pub(crate) closed: u64,
}

impl Census {
    /// A socket changes its state.
    pub(crate) fn change(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        before: State,
        after: State,
    ) {
        self.opened += u64::from(before == State::Closed);
        self.closed += u64::from(after == State::Closed);
        self.count(local, remote.port(), before, after);
    }

    /// A program begins or ends listening.
    pub(crate) fn listen(&mut self, at: SocketAddr, begins: bool) {
        let (before, after) = if begins {
            (State::Closed, State::Listening)
        } else {
            (State::Listening, State::Closed)
        };
        self.count(at, 0, before, after);
    }

    fn count(&mut self, local: SocketAddr, remote: u16, before: State, after: State) {
        let family = usize::from(local.is_ipv6());
        change(&mut self.all[family], before, after);
        for (counts, port) in [(&mut self.local, local.port()), (&mut self.remote, remote)] {
            let entry = counts.entry(port).or_default();
            change(&mut entry[family], before, after);
            if after == State::Closed && *entry == Families::default() {
                counts.remove(&port);
            }
        }
    }

    /// Counts by at most one port; `None` if both are asked for.
    pub(crate) fn counts(&self, ports: Ports) -> Option<Counts> {
        let of =
            |counts: &BTreeMap<u16, Families>, port| counts.get(&port).copied().unwrap_or_default();
        let [ipv4, ipv6] = match (ports.local, ports.remote) {
            (None, None) => self.all,
            (Some(port), None) => of(&self.local, port),
            (None, Some(port)) => of(&self.remote, port),
            (Some(_), Some(_)) => return None,
        };
        Some(match ports.ipv6 {
            Some(true) => ipv6,
            Some(false) => ipv4,
            None => std::array::from_fn(|state| ipv4[state] + ipv6[state]),
        })
    }
}

fn change(counts: &mut Counts, before: State, after: State) {
    if before != State::Closed {
        counts[index(before)] -= 1;
    }
    if after != State::Closed {
        counts[index(after)] += 1;
    }
}

/// Place of a state in [`State::ALL`].
pub(crate) const fn index(state: State) -> usize {
    state as usize
}
