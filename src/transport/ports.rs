//! Local ports of many connections to one target.
//!
//! Linux's own choice at `connect` tries every even port of the range, then every odd one, until one
//! is free: with 18,000 connections to one address that is 14,000 tries, some milliseconds, for
//! each further one. Binding to the next port of the range before costs the same at any count.

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
        for attempt in 1..=count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = self.range.start() + offset as u16;
            let (socket, any) = match to {
                SocketAddr::V4(_) => (TcpSocket::new_v4()?, [0; 4].into()),
                SocketAddr::V6(_) => (TcpSocket::new_v6()?, [0_u16; 8].into()),
            };
            // The same port may serve towards other targets.
            socket.set_reuseaddr(true)?;
            let connected = match socket.bind(SocketAddr::new(any, port)) {
                Ok(()) => socket.connect(to).await,
                Err(error) => Err(error),
            };
            match connected {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                    ) => {}
                done => return done,
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

    #[tokio::test]
    async fn ports_come_in_turn_are_passed_over_when_taken_and_run_out() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        // Below the range from which the system takes ports for others.
        let ports = LocalPorts::new(20_101..=20_103, 0);
        let taken = std::net::TcpListener::bind("127.0.0.1:20102").unwrap();
        let first = ports.connect(to).await.unwrap();
        let second = ports.connect(to).await.unwrap();
        let of = |stream: &TcpStream| stream.local_addr().unwrap().port();
        assert_eq!([of(&first), of(&second)], [20_101, 20_103]);
        let none = ports.connect(to).await.unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AddrNotAvailable);
        drop(taken);
        assert_eq!(of(&ports.connect(to).await.unwrap()), 20_102);
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
