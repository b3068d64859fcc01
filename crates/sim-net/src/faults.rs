//! Faults: partitions, NATs that forget, resets, silence, changed paths.

use std::{io, net::SocketAddr};

use tcp_table::State;

use crate::{
    config::{Forgotten, Host, Path},
    inner::Inner,
    net::SimNet,
    socket::{CLIENT, Id, SERVER, other},
};

/// A connection by its endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// Who connected.
    pub client: SocketAddr,
    /// Who listened.
    pub server: SocketAddr,
}

impl SimNet {
    /// Separates two hosts: nothing that one sends arrives at the other. What is sent meanwhile is
    /// sent again, at intervals that double, and fails with `TimedOut` after the number of times
    /// that the sender's system allows.
    pub fn partition(&self, a: Host, b: Host) {
        self.shared.with(|inner, _| {
            inner.partitions.extend([(a, b), (b, a)]);
        });
    }

    /// Ends a partition. What was lost arrives when it is sent again next.
    pub fn heal(&self, a: Host, b: Host) {
        self.shared.with(|inner, _| {
            inner.partitions.remove(&(a, b));
            inner.partitions.remove(&(b, a));
        });
    }

    /// Sets the properties of the way from one host to another; the way back keeps its own. Holds for
    /// connections that exist, too. Segments that are under way arrive as they would have.
    pub fn set_path(&self, from: Host, to: Host, path: Path) {
        self.shared.with(|inner, _| {
            for id in inner.connections.ids() {
                let Some(connection) = inner.connections.get_mut(&id) else {
                    continue;
                };
                for side in [CLIENT, SERVER] {
                    let [here, there] = [side, other(side)].map(|end| connection.ends[end].local);
                    if here.ip() == from && there.ip() == to {
                        connection.ways[side].follow(&path, &mut connection.random);
                    }
                }
            }
            inner.paths.insert((from, to), path);
        });
    }

    /// Lets a NAT forget the connections that the filter selects. What is sent afterwards does not
    /// arrive. Returns the number of connections.
    pub fn forget(&self, filter: impl Fn(&Pair) -> bool, then: Forgotten) -> usize {
        self.shared.with(|inner, _| {
            let ids = inner.select(filter);
            for id in &ids {
                if let Some(connection) = inner.connections.get_mut(id) {
                    connection.forgotten = Some(then);
                }
            }
            ids.len()
        })
    }

    /// Resets the connections that the filter selects, at both ends and immediately. Sockets in
    /// TIME_WAIT stay. Returns the number of connections.
    pub fn reset_all(&self, filter: impl Fn(&Pair) -> bool) -> usize {
        self.shared.with(|inner, now| {
            let ids = inner.select(filter);
            for id in &ids {
                for side in [CLIENT, SERVER] {
                    if inner.state(*id, side) != Some(State::TimeWait) {
                        inner.fail(*id, side, io::ErrorKind::ConnectionReset, now);
                    }
                }
                inner.reap(*id);
            }
            ids.len()
        })
    }

    /// Lets SYNs to an endpoint vanish, as a host does that is down. Connections that exist go on.
    pub fn stop_answering(&self, at: SocketAddr) {
        self.shared.with(|inner, _| inner.silent.insert(at));
    }

    /// Ends [`SimNet::stop_answering`].
    pub fn answer(&self, at: SocketAddr) {
        self.shared.with(|inner, _| inner.silent.remove(&at));
    }
}

impl Inner {
    /// Connections that a filter selects, in the order of connecting.
    fn select(&self, filter: impl Fn(&Pair) -> bool) -> Vec<Id> {
        self.connections
            .iter()
            .filter(|(_, connection)| {
                filter(&Pair {
                    client: connection.ends[CLIENT].local,
                    server: connection.ends[SERVER].local,
                })
            })
            .map(|(id, _)| id)
            .collect()
    }
}
