//! Local ports of many connections to one target.
//!
//! Linux's own choice at `connect` tries every even port of the range, then every odd one, until one is
//! free: with 18,000 connections to one address that is 14,000 tries, some milliseconds, for each
//! further one. So every second connection is bound to an odd port before, which costs the same at any
//! count, and the even ones are left to the system. Not all of them, because nobody else on the machine
//! gets a port that is bound so, whatever its target: the system's own are shared between targets.
//!
//! With a source address every connection is bound to it, and takes the ports in turn: each address has
//! all of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};

use rand::Rng as _;
use tokio::net::{TcpSocket, TcpStream};

/// Where Linux keeps the range.
const RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// After so many odd ports that are taken the system chooses.
const TRIES: u32 = 64;

/// So many ports of a source address are tried; one in two hundred that is free is found so. All of
/// them would cost a fifth of a second at each attempt of each device that is left without.
const BOUND_TRIES: u32 = 1024;

/// The ports that this system gives to connections; `None` where that is not known.
pub(super) fn system_range() -> Option<RangeInclusive<u16>> {
    let text = std::fs::read_to_string(RANGE_FILE).ok()?;
    let mut bounds = text.split_whitespace().map(str::parse);
    let (first, last): (u16, u16) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
    (first < last).then_some(first..=last)
}

/// How many local ports each address of this machine has for connections to one server; `None` where
/// that is not known.
#[must_use]
pub fn local_ports() -> Option<u64> {
    system_range().map(|range| range.len() as u64)
}

/// Ports of one source address, or of whichever the system chooses.
#[derive(Debug)]
pub(super) struct LocalPorts {
    source: Option<IpAddr>,
    /// `None` where it is not known, and the system chooses.
    range: Option<RangeInclusive<u16>>,
    /// Connections so far.
    made: AtomicU32,
    /// The next port, or the next odd one.
    next: AtomicU32,
}

impl LocalPorts {
    /// The ports of that source address, out of the system's range.
    pub(super) fn of_system(source: Option<IpAddr>, range: Option<RangeInclusive<u16>>) -> Self {
        // Two processes on one machine begin at different places.
        Self::new(source, range, rand::rng().random())
    }

    /// `next` is where the turn begins.
    pub(super) fn new(
        source: Option<IpAddr>,
        range: Option<RangeInclusive<u16>>,
        next: u32,
    ) -> Self {
        Self {
            source,
            range,
            made: AtomicU32::new(0),
            next: AtomicU32::new(next),
        }
    }

    /// Whether that address is of the source address's family.
    pub(super) fn reach(&self, to: SocketAddr) -> bool {
        self.source
            .is_none_or(|source| source.is_ipv4() == to.is_ipv4())
    }

    /// Connects to that address.
    pub(super) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        match (self.source, &self.range) {
            (None, None) => TcpStream::connect(to).await,
            (None, Some(range)) => self.connect_from_any(range, to).await,
            (Some(source), None) => {
                let socket = new_socket(to)?;
                socket.bind(SocketAddr::new(source, 0))?;
                socket.connect(to).await
            }
            (Some(source), Some(range)) => self.connect_from_source(source, range, to).await,
        }
    }

    async fn connect_from_source(
        &self,
        source: IpAddr,
        range: &RangeInclusive<u16>,
        to: SocketAddr,
    ) -> io::Result<TcpStream> {
        let count = range.len() as u32;
        for _ in 0..count.min(BOUND_TRIES) {
            let turn = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = range.start() + turn as u16;
            let socket = new_socket(to)?;
            match socket.bind(SocketAddr::new(source, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    let text = format!("{source} is not an address of this machine");
                    return Err(io::Error::other(text));
                }
                bound => bound?,
            }
            match socket.connect(to).await {
                Err(error) if is_taken(&error) => {}
                done => return done,
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    async fn connect_from_any(
        &self,
        range: &RangeInclusive<u16>,
        to: SocketAddr,
    ) -> io::Result<TcpStream> {
        if self.made.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            for _ in 0..TRIES {
                match self.connect_from_odd(range, to).await {
                    Err(error) if is_taken(&error) => {}
                    done => return done,
                }
            }
        }
        TcpStream::connect(to).await
    }

    /// Tries the next odd port. The system counts from the first of the range, so odd means an odd
    /// distance from it.
    async fn connect_from_odd(
        &self,
        range: &RangeInclusive<u16>,
        to: SocketAddr,
    ) -> io::Result<TcpStream> {
        let count = range.len() as u32 / 2;
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % count;
        let port = range.start() + (2 * turn + 1) as u16;
        let any = match to {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0_u16; 8]),
        };
        let socket = new_socket(to)?;
        socket.bind(SocketAddr::new(any, port))?;
        socket.connect(to).await
    }
}

fn new_socket(to: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // The same port may serve towards other targets of ours.
    socket.set_reuseaddr(true)?;
    Ok(socket)
}

/// The port is in use, by another program or towards this target.
fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
    )
}

/// So many ports in a row that nobody has.
#[cfg(all(test, target_os = "linux"))]
pub(super) fn free_ports(count: u16) -> RangeInclusive<u16> {
    let is_free = |port: u16| std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
    let mut firsts = (12_000..20_000).step_by(usize::from(count));
    let first = firsts.find(|first| (*first..*first + count).all(is_free));
    let first = first.expect("some ports in a row are free");
    first..=first + count - 1
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
        let ports = LocalPorts::new(None, Some(range.clone()), 0);
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
        // Bound and never listening: the port stays ours, and nobody answers.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let to = socket.local_addr().unwrap();
        for source in [None, Some(to.ip())] {
            let ports = LocalPorts::of_system(source, system_range());
            for _ in 0..2 {
                let error = ports.connect(to).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            }
        }
    }
}
