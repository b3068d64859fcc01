//! TCP states through Linux's sock_diag, by group: the devices' side, the server's client side, and
//! the worker's outgoing side. The last two exist only where the server runs on this machine.
//!
//! The kernel filters by port, so a sample costs what the group has, not what the machine has.

use super::super::measure::Gauges;

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
    const fn as_str(self) -> &'static str {
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

/// A dump of the kernel's table can break off while sockets come and go.
const ATTEMPTS: u32 = 3;

/// Reads socket tables.
#[derive(Debug)]
pub struct SocketTable {
    servers: Vec<SocketGroups>,
}

impl SocketTable {
    /// A reader of those groups, one entry for each server; their counts are added up.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = SocketGroups>) -> Self {
        let mut distinct: Vec<SocketGroups> = Vec::new();
        for server in servers {
            // Sockets are told apart by port, so two hosts at one port are one entry.
            let is_known =
                |known: &SocketGroups| (known.target, known.ipv6) == (server.target, server.ipv6);
            if !distinct.iter().any(is_known) {
                distinct.push(server);
            }
        }
        Self { servers: distinct }
    }

    /// Counts now: `tcp.<group>.<state>`, and `tcp.<group>.ports` of all that keep a port busy. Blocks for some microseconds per socket, so it belongs on
    /// a blocking thread. Empty where socket tables cannot be read.
    #[must_use]
    pub fn sample(&self) -> Gauges {
        let mut gauges = Gauges::new();
        for server in &self.servers {
            let mut add = |group: Group, source: u16, destination: u16| {
                let read = || states::count(source, destination, server.ipv6);
                let Some(counts) = (0..ATTEMPTS).find_map(|_| read()) else {
                    return;
                };
                let busy = states::NAMES.iter().zip(counts);
                let busy = busy.filter(|(state, _)| !matches!(**state, "listen" | "time_wait"));
                let ports = format!("tcp.{}.ports", group.as_str());
                *gauges.entry(ports).or_default() +=
                    busy.map(|(_, count)| count as f64).sum::<f64>();
                for (state, count) in states::NAMES.iter().zip(counts) {
                    let name = format!("tcp.{}.{state}", group.as_str());
                    *gauges.entry(name).or_default() += count as f64;
                }
            };
            add(Group::Devices, 0, server.target);
            if server.server_is_local {
                add(Group::Server, server.target, 0);
            }
            if let Some(back_end) = server.back_end {
                add(Group::Outgoing, 0, back_end);
            }
        }
        gauges
    }
}

#[cfg(target_os = "linux")]
mod states {
    use netlink_packet_core::{
        NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    };
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;
    use netlink_sys::{Socket, SocketAddr};

    /// The kernel's states from 1 on (netinet/tcp.h).
    pub(super) const NAMES: [&str; 11] = [
        "established",
        "syn_sent",
        "syn_recv",
        "fin_wait1",
        "fin_wait2",
        "time_wait",
        "close",
        "close_wait",
        "last_ack",
        "listen",
        "closing",
    ];
    /// The kernel fills at most 32 KiB per message batch.
    const BUFFER: usize = 64 << 10;

    pub(super) fn count(source: u16, destination: u16, ipv6: bool) -> Option<[u64; NAMES.len()]> {
        let mut socket_id = if ipv6 {
            SocketId::new_v6()
        } else {
            SocketId::new_v4()
        };
        socket_id.source_port = source;
        socket_id.destination_port = destination;
        let request = InetRequest {
            family: if ipv6 { AF_INET6 } else { AF_INET },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::all(),
            socket_id,
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);

        let mut socket = Socket::new(NETLINK_SOCK_DIAG).ok()?;
        socket.bind_auto().ok()?;
        socket.connect(&SocketAddr::new(0, 0)).ok()?;
        socket.send(&bytes, 0).ok()?;
        let mut counts = [0; NAMES.len()];
        let mut buffer = vec![0_u8; BUFFER];
        loop {
            let size = socket.recv(&mut &mut buffer[..], 0).ok()?;
            let mut rest = buffer.get(..size)?;
            while !rest.is_empty() {
                let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest).ok()?;
                match message.payload {
                    NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(answer)) => {
                        let index = usize::from(answer.header.state).checked_sub(1)?;
                        if let Some(count) = counts.get_mut(index) {
                            *count += 1;
                        }
                    }
                    NetlinkPayload::Done(_) => return Some(counts),
                    NetlinkPayload::Error(_) => return None,
                    _ => {}
                }
                // Messages are aligned to four bytes.
                let length = (message.header.length as usize).next_multiple_of(4).max(4);
                rest = rest.get(length..).unwrap_or_default();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod states {
    pub(super) const NAMES: [&str; 0] = [];

    pub(super) fn count(_: u16, _: u16, _: bool) -> Option<[u64; 0]> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A real CLOSE_WAIT, made by hand and seen on the right side.
    #[test]
    fn states_of_both_ends_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let table = SocketTable::new([SocketGroups {
            target: port,
            server_is_local: true,
            back_end: Some(port),
            ipv6: false,
        }]);
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
            .collect();
        let mut servers: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
        let gauges = table.sample();
        assert_eq!(gauges["tcp.devices.established"], 3.0);
        assert_eq!(gauges["tcp.server.established"], 3.0);
        assert_eq!(gauges["tcp.server.listen"], 1.0);
        assert_eq!(gauges["tcp.outgoing.close_wait"], 0.0);

        drop(servers.pop());
        let gauges = table.sample();
        assert_eq!(gauges["tcp.devices.close_wait"], 1.0);
        // The acknowledgement of the FIN may be delayed.
        assert_eq!(
            gauges["tcp.server.fin_wait1"] + gauges["tcp.server.fin_wait2"],
            1.0
        );
        assert_eq!(gauges["tcp.outgoing.close_wait"], 1.0);
        drop(clients);
    }
}
