//! Local ports of many connections to one target.
//!
//! Linux's own choice at `connect` tries every even port of the range, then every odd one, until one is
//! free: with 18,000 connections to one address that is 14,000 tries, some milliseconds, for each
//! further one. So every second connection is bound to an odd port before, which costs the same at any
//! count, and the even ones are left to the system. Not all of them, because nobody else on the machine
//! gets a port that is bound so, whatever its target: the system's own are shared between targets.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::Rng as _;
use tokio::net::{TcpSocket, TcpStream};

/// Where Linux keeps the range.
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// After so many odd ports that are taken the system chooses.
const TRIES: u32 = 64;

/// The odd local ports, in turn.
#[derive(Debug)]
pub(super) struct LocalPorts {
    range: RangeInclusive<u16>,
    /// Connections so far.
    made: AtomicU32,
    /// The next odd port.
    next: AtomicU32,
}

impl LocalPorts {
    /// The range of this system; `None` where it is not known, and the system chooses.
    pub(super) fn of_system() -> Option<Self> {
        let text = std::fs::read_to_string(RANGE_FILE).ok()?;
        let mut bounds = text.split_whitespace().map(str::parse);
        let (first, last): (u16, u16) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        // Two processes on one machine begin at different places.
        (first < last).then(|| Self::new(first..=last, rand::rng().random()))
    }

    fn new(range: RangeInclusive<u16>, next: u32) -> Self {
        Self {
            range,
            made: AtomicU32::new(0),
            next: AtomicU32::new(next),
        }
    }

    /// Connects to that address.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        if self.made.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            for _ in 0..TRIES {
                match self.connect_from_odd(to).await {
                    Err(error)
                        if matches!(
                            error.kind(),
                            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                        ) => {}
                    done => return done,
                }
            }
        }
        TcpStream::connect(to).await
    }

    /// Tries the next odd port. The system counts from the first of the range, so odd means an odd
    /// distance from it.
    async fn connect_from_odd(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let count = self.range.len() as u32 / 2;
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let port = self.range.start() + (2 * turn + 1) as u16;
        let (socket, any) = match to {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, [0; 4].into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, [0_u16; 8].into()),
        };
        // The same port may serve towards other targets of ours.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(any, port))?;
        socket.connect(to).await
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// The first of four ports in a row, of which the second is taken and the others are free.
    fn four_ports() -> (u16, std::net::TcpListener) {
        let bind = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port));
        for first in (20_000..30_000).step_by(4) {
            let rest = [first, first + 2, first + 3].map(bind);
            if let (Ok(taken), true) = (bind(first + 1), rest.iter().all(Result::is_ok)) {
                return (first, taken);
            }
        }
        panic!("no four ports are free");
    }

    #[tokio::test]
    async fn every_second_connection_has_an_odd_port_as_long_as_there_is_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (first, taken) = four_ports();
        let range = first..=first + 3;
        let ports = LocalPorts::new(range.clone(), 0);
        let mut streams = Vec::new();
        let mut next = async || {
            let stream = ports.connect(to).await.unwrap();
            let port = stream.local_addr().unwrap().port();
            streams.push(stream);
            port
        };
        assert!(!range.contains(&next().await), "the system's choice");
        assert_eq!(next().await, first + 3, "the other odd one is taken");
        assert!(!range.contains(&next().await));
        assert!(!range.contains(&next().await), "none is left");
        drop(taken);
        next().await;
        assert_eq!(next().await, first + 1);
        // Towards another target the same ports are free.
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = other.local_addr().unwrap();
        ports.connect(to).await.unwrap();
        let again = ports.connect(to).await.unwrap();
        assert!(range.contains(&again.local_addr().unwrap().port()));
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = closed.local_addr().unwrap();
        drop(closed);
        let ports = LocalPorts::of_system().unwrap();
        for _ in 0..2 {
            let error = ports.connect(to).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
