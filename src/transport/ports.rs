//! Local ports of many connections to one target.
//!
//! Linux's own choice at `connect` tries every even port of the range, then every odd one, until one
//! is free: with 18,000 connections to one address that is 14,000 tries, some milliseconds, for
//! each further one. Binding to the next port of the range before costs the same at any count. It has
//! a price: other programs of this machine do not get a port that is bound so, for any target.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::Rng as _;
use tokio::net::{TcpSocket, TcpStream};

/// Where Linux keeps the range.
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// So many ports are tried before other tasks get a turn.
const TRIES_PER_TURN: u32 = 64;

/// So many ports in a row that cannot be used towards an address say that it has no route; more are
/// just busy.
const ENOUGH: u32 = 64;

/// The local ports, in turn.
#[derive(Debug)]
pub(super) struct LocalPorts {
    range: RangeInclusive<u16>,
    next: AtomicU32,
}

impl LocalPorts {
    /// The range of this system; `None` where it is not known, and the system chooses.
    pub(super) fn of_system() -> Option<Self> {
        let text = std::fs::read_to_string(RANGE_FILE).ok()?;
        let mut bounds = text.split_whitespace().map(str::parse);
        let (first, last) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        // Two processes on one machine begin at different places.
        (first <= last).then(|| Self::new(first..=last, rand::rng().random()))
    }

    fn new(range: RangeInclusive<u16>, next: u32) -> Self {
        Self {
            range,
            next: AtomicU32::new(next),
        }
    }

    /// Connects from the next port that is free towards that address.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let count = self.range.len() as u32;
        let mut unavailable = 0;
        for attempt in 1..=count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = self.range.start() + offset as u16;
            let (socket, any) = match to {
                SocketAddr::V4(_) => (TcpSocket::new_v4()?, [0; 4].into()),
                SocketAddr::V6(_) => (TcpSocket::new_v6()?, [0_u16; 8].into()),
            };
            // The same port may serve towards other targets.
            socket.set_reuseaddr(true)?;
            if let Err(error) = socket.bind(SocketAddr::new(any, port)) {
                match error.kind() {
                    io::ErrorKind::AddrInUse => {}
                    _ => return Err(error),
                }
            } else {
                match socket.connect(to).await {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                    // This port towards that address, or that address from any port: after some
                    // the system's own choice tells.
                    Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                        unavailable += 1;
                        if unavailable == ENOUGH {
                            return TcpStream::connect(to).await;
                        }
                    }
                    done => return done,
                }
            }
            if attempt % TRIES_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Three free ports in a row, the middle one taken.
    fn three_ports() -> (u16, std::net::TcpListener) {
        let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
        for first in (20_000..30_000).step_by(3) {
            if let (Ok(_), Ok(taken), Ok(_)) = (bind(first), bind(first + 1), bind(first + 2)) {
                return (first, taken);
            }
        }
        panic!("no three ports are free");
    }

    #[tokio::test]
    async fn ports_come_in_turn_are_passed_over_when_taken_and_run_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (first_port, taken) = three_ports();
        let ports = LocalPorts::new(first_port..=first_port + 2, 0);
        let first = ports.connect(to).await.unwrap();
        let second = ports.connect(to).await.unwrap();
        let of = |stream: &TcpStream| stream.local_addr().unwrap().port();
        assert_eq!([of(&first), of(&second)], [first_port, first_port + 2]);
        let none = ports.connect(to).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
        drop(taken);
        assert_eq!(of(&ports.connect(to).await.unwrap()), first_port + 1);
        // Towards another target every port is free.
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        ports.connect(other.local_addr().unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = closed.local_addr().unwrap();
        drop(closed);
        let ports = LocalPorts::of_system().unwrap();
        let error = ports.connect(to).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
