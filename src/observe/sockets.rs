//! TCP states from the kernel's table, by group: the devices' side, the server's client side, and
//! the worker's outgoing side. The last two exist only where the server runs on this machine. Those
//! of the devices are also told apart by what each connection is used for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::transport::PortUses;
use mock_server::Machine;
use scenario::names::{Gauges, Use};
use tcp_table::{Query, Row, State};

/// Which sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Connections of devices to the target.
    Devices,
    /// The server's end of them.
    Server,
    /// The worker's connections to the back end.
    Outgoing,
}

impl Group {
    /// Its name in gauges.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Server => "server",
            Self::Outgoing => "outgoing",
        }
    }
}

/// The ports by which sockets are told apart.
#[derive(Debug, Clone, Copy)]
pub struct SocketGroups {
    /// The target's port.
    pub target: u16,
    /// Whether the target runs on this machine.
    pub server_is_local: bool,
    /// The back end's port, if it is known and on this machine.
    pub back_end: Option<u16>,
    /// Whether the target's address is an IPv6 one.
    pub ipv6: bool,
}

/// The server's connected sockets are looked at in every so many samples: there are as many as
/// devices, nothing hangs on them, and the kernel takes more than a microsecond for each.
const SERVER_ESTABLISHED: u64 = 10;

/// Reads socket tables.
pub struct SocketTable {
    machine: Machine,
    servers: Vec<SocketGroups>,
    uses: Arc<PortUses>,
    samples: AtomicU64,
}

impl SocketTable {
    /// A reader of those groups on that machine, one entry for each server and family of addresses; their counts are
    /// added up. `uses` says what the devices' connections are used for.
    #[must_use]
    pub fn new(
        machine: Machine,
        servers: impl IntoIterator<Item = SocketGroups>,
        uses: Arc<PortUses>,
    ) -> Self {
        let mut distinct: Vec<SocketGroups> = Vec::new();
        for server in servers {
            // Sockets are told apart by port, so two hosts at one port are one entry.
            let is_known =
                |known: &SocketGroups| (known.target, known.ipv6) == (server.target, server.ipv6);
            if !distinct.iter().any(is_known) {
                distinct.push(server);
            }
        }
        Self {
            machine,
            servers: distinct,
            uses,
            samples: AtomicU64::new(0),
        }
    }

    /// Counts now: `tcp.<group>.<state>`, `tcp.<group>.ports` of all that keep a port busy, and
    /// `tcp.devices.<use>.<state>` where there are any. Blocks for milliseconds, so it belongs on a
    /// blocking thread. Empty where socket tables cannot be read.
    ///
    /// A device's connection that is open here and in no other state is an established one, so
    /// those need not be asked for: with 20,000 of them that is the whole cost.
    #[must_use]
    pub fn sample(&self) -> Gauges {
        let mut gauges = Gauges::new();
        let number = self.samples.fetch_add(1, Ordering::Relaxed);
        let with_server = number.is_multiple_of(SERVER_ESTABLISHED);
        let mut devices: Option<Vec<Row>> = None;
        for server in &self.servers {
            let query = |local_port, remote_port, established| Query {
                ipv6: server.ipv6,
                local_port,
                remote_port,
                established,
            };
            let target = Some(server.target);
            if let Some(rows) = self.machine.rows(query(None, target, false)) {
                devices.get_or_insert_default().extend(rows);
            }
            if server.server_is_local
                && let Some(counts) = self.machine.counts(query(target, None, with_server))
            {
                add(&mut gauges, Group::Server, &counts.all(), with_server);
            }
            if server.back_end.is_some()
                && let Some(counts) = self.machine.counts(query(None, server.back_end, true))
            {
                add(&mut gauges, Group::Outgoing, &counts.all(), true);
            }
        }
        if let Some(rows) = devices {
            self.add_devices(&mut gauges, &rows);
        }
        gauges
    }

    fn add_devices(&self, gauges: &mut Gauges, rows: &[Row]) {
        let mut counts = [[0_u32; State::ALL.len()]; Use::ALL.len()];
        let mut seen = HashSet::with_capacity(rows.len());
        for row in rows {
            let Some(end) = self.uses.end(row.local) else {
                continue;
            };
            seen.insert(end);
            let told = self.uses.get(end);
            let what = match (told, row.state) {
                // The port was used before, and its device has not come further than this.
                (Use::Closed, State::SynSent) => Use::Connecting,
                (told, _) => told,
            };
            counts[what as usize][row.state as usize] += 1;
        }
        for (end, what) in self.uses.open() {
            if !seen.contains(&end) {
                counts[what as usize][State::Established as usize] += 1;
            }
        }
        let mut sums = [0; State::ALL.len()];
        for (what, counts) in Use::ALL.iter().zip(counts) {
            for (state, count) in State::ALL.iter().zip(counts) {
                sums[*state as usize] += count;
                if count > 0 {
                    let name = format!("tcp.devices.{}.{}", what.as_str(), state.gauge());
                    *gauges.entry(name).or_default() += f64::from(count);
                }
            }
        }
        add(gauges, Group::Devices, &sums, true);
    }
}

type Counts = [u32; State::ALL.len()];

/// `complete`: connected sockets were looked at.
fn add(gauges: &mut Gauges, group: Group, counts: &Counts, complete: bool) {
    let mut ports = 0.0;
    for (state, count) in State::ALL.iter().zip(counts) {
        if *state == State::Established && !complete {
            continue;
        }
        let name = format!("tcp.{}.{}", group.as_str(), state.gauge());
        *gauges.entry(name).or_default() += f64::from(*count);
        if state.keeps_port() {
            ports += f64::from(*count);
        }
    }
    if complete {
        let name = format!("tcp.{}.ports", group.as_str());
        *gauges.entry(name).or_default() += ports;
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A real CLOSE_WAIT, made by hand and seen on the right side.
    #[tokio::test]
    async fn states_of_both_ends_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let groups = SocketGroups {
            target: port,
            server_is_local: true,
            back_end: Some(port),
            ipv6: false,
        };
        let uses = Arc::new(PortUses::default());
        let table = SocketTable::new(Machine::System, [groups], Arc::clone(&uses));
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
            .collect();
        let mut servers: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        let end = |address| uses.end(address).unwrap();
        uses.set(end(clients[0].local_addr().unwrap()), Use::Idle);
        uses.set(end(clients[1].local_addr().unwrap()), Use::Held);
        uses.set(end(clients[2].local_addr().unwrap()), Use::Held);
        let gauges = table.sample();
        assert_eq!(gauges["tcp.devices.established"], 3.0);
        assert_eq!(gauges["tcp.devices.held.established"], 2.0);
        assert_eq!(gauges["tcp.devices.idle.established"], 1.0);
        assert!(!gauges.contains_key("tcp.devices.idle.close_wait"));
        assert_eq!(gauges["tcp.server.established"], 3.0);
        assert_eq!(gauges["tcp.server.listening"], 1.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 0.0);

        let last = servers.pop().unwrap();
        let closed = end(last.peer_addr().unwrap());
        drop(last);
        // The kernel takes its time, and its own thread, where the machine is busy.
        let mut gauges = table.sample();
        for _ in 0..500 {
            if gauges["tcp.devices.close_wait"] > 0.0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            gauges = table.sample();
        }
        assert_eq!(gauges["tcp.devices.close_wait"], 1.0);
        let what = uses.get(closed).as_str();
        assert_eq!(gauges[&format!("tcp.devices.{what}.close_wait")], 1.0);
        // The acknowledgement of the FIN may be delayed.
        assert_eq!(
            gauges["tcp.server.fin_wait1"] + gauges["tcp.server.fin_wait2"],
            1.0
        );
        assert_eq!(gauges["tcp.outgoing.close_wait"], 1.0);
        drop(clients);
    }
}
