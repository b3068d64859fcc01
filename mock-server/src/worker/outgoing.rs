//! The worker's outgoing connections to the back end: real sockets on ports of a bounded range, so
//! that ports can run out, reused while they are idle.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::{TcpSocket, TcpStream};

use super::lock;

/// Where outgoing connections come from. Linux owns all of 127.0.0.0/8, and a second address keeps
/// the range clear of the ports that clients on this machine use; elsewhere there is one only.
const SOURCE: IpAddr = if cfg!(target_os = "linux") {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))
} else {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
};
/// Idle connections that are kept; more are closed.
const MAX_IDLE: usize = 256;

#[derive(Debug)]
pub(super) struct Outgoing {
    back_end: SocketAddr,
    range: RangeInclusive<u16>,
    next: AtomicU64,
    idle: Mutex<Vec<TcpStream>>,
    open: AtomicU64,
    failures: AtomicU64,
}

impl Outgoing {
    pub(super) fn new(back_end: SocketAddr, range: RangeInclusive<u16>) -> Self {
        Self {
            back_end,
            range,
            next: AtomicU64::new(0),
            idle: Mutex::default(),
            open: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// A connection that is ready for a request.
    pub(super) async fn connect(&self) -> io::Result<Connection<'_>> {
        loop {
            let Some(stream) = lock(&self.idle).pop() else {
                break;
            };
            self.open.fetch_sub(1, Ordering::Relaxed);
            // Readable while idle means that the back end has closed it.
            let readable = stream.try_read(&mut [0]);
            if matches!(&readable, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return Ok(self.open(stream));
            }
        }
        match self.connect_new().await {
            Ok(stream) => Ok(self.open(stream)),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn open(&self, stream: TcpStream) -> Connection<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Connection {
            outgoing: self,
            stream: Some(stream),
        }
    }

    async fn connect_new(&self) -> io::Result<TcpStream> {
        let count = u64::from(*self.range.end()) - u64::from(*self.range.start()) + 1;
        for _ in 0..count {
            let offset = self.next.fetch_add(1, Ordering::Relaxed) % count;
            let port = self.range.start() + offset as u16;
            let socket = TcpSocket::new_v4()?;
            // A port in TIME_WAIT may be taken again, as Windows does for a new remote endpoint.
            socket.set_reuseaddr(true)?;
            match socket.bind(SocketAddr::new(SOURCE, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                bound => bound?,
            }
            match socket.connect(self.back_end).await {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                    ) => {}
                connected => {
                    let stream = connected?;
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "all ephemeral ports are in use",
        ))
    }

    pub(super) fn open_count(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// One connection in use.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    outgoing: &'a Outgoing,
    stream: Option<TcpStream>,
}

impl Connection<'_> {
    pub(super) fn stream(&mut self) -> &mut TcpStream {
        self.stream
            .as_mut()
            .expect("taken only when the connection ends")
    }

    /// Keeps the connection for another request.
    pub(super) fn reuse(mut self) {
        let mut idle = lock(&self.outgoing.idle);
        if idle.len() < MAX_IDLE
            && let Some(stream) = self.stream.take()
        {
            idle.push(stream);
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        if self.stream.is_some() {
            self.outgoing.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
