//! The kernel's table, through sock_diag(7).

use super::{Query, Row};

/// A dump can break off while sockets come and go.
const ATTEMPTS: u32 = 3;

/// The sockets now, in the kernel's order; `None` where or when the table cannot be read. Blocks
/// for about a microsecond a socket, so it belongs on a blocking thread.
#[must_use]
pub fn rows(query: Query) -> Option<Vec<Row>> {
    (0..ATTEMPTS).find_map(|_| dump::rows(query))
}

#[cfg(target_os = "linux")]
mod dump {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

    use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage};
    use netlink_packet_sock_diag::SockDiagMessage;
    use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
    use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
    use netlink_sys::protocols::NETLINK_SOCK_DIAG;
    use netlink_sys::{Socket, SocketAddr as NetlinkAddress};

    use super::{Query, Row};
    use crate::State;

    /// The kernel fills at most 32 KiB per message batch.
    const BUFFER: usize = 64 << 10;
    /// `struct nlmsghdr` of linux/netlink.h.
    const HEADER: usize = 16;
    /// `nlmsg_type` of the end of a dump, and of an error.
    const DONE: u16 = 3;
    const ERROR: u16 = 2;

    fn request(query: Query) -> Vec<u8> {
        let mut socket_id = if query.ipv6 {
            SocketId::new_v6()
        } else {
            SocketId::new_v4()
        };
        // Zero is any port.
        socket_id.source_port = query.local_port.unwrap_or(0);
        socket_id.destination_port = query.remote_port.unwrap_or(0);
        let request = InetRequest {
            family: if query.ipv6 { AF_INET6 } else { AF_INET },
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: if query.established {
                StateFlags::all()
            } else {
                StateFlags::all().difference(StateFlags::ESTABLISHED)
            },
            socket_id,
        };
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    pub(super) fn rows(query: Query) -> Option<Vec<Row>> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG).ok()?;
        socket.bind_auto().ok()?;
        socket.connect(&NetlinkAddress::new(0, 0)).ok()?;
        socket.send(&request(query), 0).ok()?;
        let mut rows = Vec::new();
        let mut buffer = vec![0_u8; BUFFER];
        loop {
            let size = socket.recv(&mut &mut buffer[..], 0).ok()?;
            if batch(buffer.get(..size)?, &mut rows)? {
                return Some(rows);
            }
        }
    }

    /// Reads one batch; true at the end of the dump. The answers are read here and not by the
    /// library, which takes five times as long for every socket.
    fn batch(mut rest: &[u8], rows: &mut Vec<Row>) -> Option<bool> {
        while rest.len() >= HEADER {
            let length = u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?) as usize;
            let kind = u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?);
            match kind {
                DONE => return Some(true),
                ERROR => return None,
                _ => rows.extend(row(rest.get(HEADER..length)?)),
            }
            // Messages are aligned to four bytes.
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(false)
    }

    /// `struct inet_diag_msg` of linux/inet_diag.h; ports and addresses are in network order.
    fn row(message: &[u8]) -> Option<Row> {
        let port = |at: usize| -> Option<u16> {
            Some(u16::from_be_bytes(
                message.get(at..at + 2)?.try_into().ok()?,
            ))
        };
        let is_ipv6 = u16::from(*message.first()?) == u16::from(AF_INET6);
        let address = |at: usize| -> Option<IpAddr> {
            if is_ipv6 {
                let bytes: [u8; 16] = message.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(bytes).to_canonical())
            } else {
                let bytes: [u8; 4] = message.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(bytes).into())
            }
        };
        Some(Row {
            state: State::from_linux(*message.get(1)?)?,
            local: SocketAddr::new(address(8)?, port(4)?),
            remote: SocketAddr::new(address(24)?, port(6)?),
            inode: u32::from_ne_bytes(message.get(68..72)?.try_into().ok()?),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod dump {
    use super::{Query, Row};

    pub(super) fn rows(_: Query) -> Option<Vec<Row>> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::State;

    /// The kernel's own text of the same sockets is the oracle.
    fn printed(port: u16) -> usize {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!(":{port:04X}");
        table.lines().filter(|line| line.contains(&port)).count()
    }

    #[test]
    fn sockets_are_told_apart_by_port_and_state() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        // In lockstep: the backlog is shorter than the list, and a connection beyond it waits.
        let (clients, mut accepted): (Vec<_>, Vec<_>) = (0..300)
            .map(|_| {
                let client = TcpStream::connect(here).unwrap();
                (client, listener.accept().unwrap().0)
            })
            .unzip();
        let ask = |local_port, remote_port| {
            rows(Query {
                ipv6: false,
                local_port,
                remote_port,
                established: true,
            })
            .unwrap()
        };
        let count = |rows: &[Row], state| rows.iter().filter(|row| row.state == state).count();

        let server = ask(Some(here.port()), None);
        assert_eq!(count(&server, State::Established), 300);
        assert_eq!(count(&server, State::Listening), 1);
        let outgoing = ask(None, Some(here.port()));
        assert_eq!(count(&outgoing, State::Established), 300);
        assert_eq!(server.len() + outgoing.len(), printed(here.port()));
        let first = clients[0].local_addr().unwrap();
        let row = outgoing.iter().find(|row| row.local == first).unwrap();
        assert_eq!(row.remote, here);
        assert_ne!(row.inode, 0);

        drop(accepted.pop());
        // A busy kernel delivers the end of the stream later.
        let closing = || count(&ask(None, Some(here.port())), State::CloseWait);
        for _ in 0..1000 {
            if closing() > 0 {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "waits for the kernel")]
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(closing(), 1);
        let others = rows(Query {
            ipv6: false,
            local_port: None,
            remote_port: Some(here.port()),
            established: false,
        });
        let others = others.unwrap();
        assert_eq!((others.len(), count(&others, State::CloseWait)), (1, 1));
    }

    #[test]
    fn ipv6_sockets_are_asked_for_apart() {
        let Ok(listener) = TcpListener::bind("[::1]:0") else {
            return;
        };
        let port = listener.local_addr().unwrap().port();
        let ask = |ipv6| {
            rows(Query {
                ipv6,
                local_port: Some(port),
                remote_port: None,
                established: true,
            })
        };
        assert_eq!(ask(true).unwrap()[0].local, listener.local_addr().unwrap());
        // The same port of IPv4 is free to anybody.
        let ipv4 = ask(false).unwrap();
        assert!(ipv4.iter().all(|row| row.local.is_ipv4()), "{ipv4:?}");
    }
}
