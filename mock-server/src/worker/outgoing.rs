//! The worker's outgoing connections to the back end: real sockets on ports of a bounded range, so
//! that ports can run out, reused while they are idle.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::machine::{Machine, Socket};

/// Where outgoing connections come from. Linux owns all of 127.0.0.0/8, and a second address keeps
/// the range clear of the ports that clients on this machine use; elsewhere there is one only.
const SOURCE: IpAddr = if cfg!(target_os = "linux") {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2))
} else {
    IpAddr::V4(Ipv4Addr::LOCALHOST)
};
/// Idle connections that are kept; more are closed.
const MAX_IDLE: usize = 256;
/// Between two looks for a port that another process of the host may have given back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Outgoing {
    machine: Machine,
    back_end: SocketAddr,
    range: RangeInclusive<u16>,
    wait: Duration,
    next: AtomicU64,
    /// As many as there are ports: who waits for one waits here, and not in a search of the range.
    ports: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// A connection that has been idle for longer is not used again: the back end may close it in
    /// the moment in which a request goes out.
    reuse_within: Duration,
    open: AtomicU64,
    made: AtomicU64,
    port_failures: AtomicU64,
    connect_failures: AtomicU64,
}

/// A connection that waits for another request.
#[derive(Debug)]
struct Idle {
    stream: Socket,
    port: OwnedSemaphorePermit,
    since: Instant,
}

impl Outgoing {
    /// `idle_timeout` is the back end's.
    pub(super) fn new(
        machine: Machine,
        back_end: SocketAddr,
        range: RangeInclusive<u16>,
        wait: Duration,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            machine,
            reuse_within: idle_timeout / 2,
            back_end,
            ports: Arc::new(Semaphore::new(range.len())),
            range,
            wait,
            next: AtomicU64::new(0),
            idle: Mutex::default(),
            open: AtomicU64::new(0),
            made: AtomicU64::new(0),
            port_failures: AtomicU64::new(0),
            connect_failures: AtomicU64::new(0),
        }
    }

    /// A connection that was used before and is still open, if there is one.
    pub(super) fn kept(&self) -> Option<Connection<'_>> {
        loop {
            let idle = self.idle.lock().pop()?;
            self.open.fetch_sub(1, Ordering::Relaxed);
            if self.is_usable(&idle) {
                return Some(self.open(idle.stream, idle.port));
            }
        }
    }

    fn is_usable(&self, idle: &Idle) -> bool {
        idle.since.elapsed() < self.reuse_within && idle.stream.is_silent()
    }

    /// Closes idle connections that are not used again, and those that the back end has closed: a
    /// healthy front end leaves none of them in CLOSE_WAIT.
    pub(super) fn forget_closed(&self) {
        let mut idle = self.idle.lock();
        let before = idle.len();
        idle.retain(|idle| self.is_usable(idle));
        let closed = (before - idle.len()) as u64;
        self.open.fetch_sub(closed, Ordering::Relaxed);
    }

    /// A new connection. Waits for a port for as long as configured.
    pub(super) async fn connect(&self) -> io::Result<Connection<'_>> {
        let end = Instant::now() + self.wait;
        let connected = match timeout_at(end, Arc::clone(&self.ports).acquire_owned()).await {
            Ok(Ok(port)) => {
                connect_within(&self.machine, self.back_end, &self.range, &self.next, end)
                    .await
                    .map(|stream| (stream, port))
            }
            _ => Err(exhausted()),
        };
        match connected {
            Ok((stream, port)) => {
                self.made.fetch_add(1, Ordering::Relaxed);
                Ok(self.open(stream, port))
            }
            Err(error) => {
                let counter = match error.kind() {
                    io::ErrorKind::AddrNotAvailable => &self.port_failures,
                    _ => &self.connect_failures,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    fn open(&self, stream: Socket, port: OwnedSemaphorePermit) -> Connection<'_> {
        self.open.fetch_add(1, Ordering::Relaxed);
        Connection {
            outgoing: self,
            stream: Some((stream, port)),
        }
    }

    pub(super) fn open_count(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn port_failures(&self) -> u64 {
        self.port_failures.load(Ordering::Relaxed)
    }

    pub(super) fn connect_failures(&self) -> u64 {
        self.connect_failures.load(Ordering::Relaxed)
    }
}

fn exhausted() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "all ephemeral ports are in use",
    )
}

/// Connects from a port of the range, and looks again until `end` while all are in use.
async fn connect_within(
    machine: &Machine,
    to: SocketAddr,
    range: &RangeInclusive<u16>,
    next: &AtomicU64,
    end: Instant,
) -> io::Result<Socket> {
    loop {
        match connect_once(machine, to, range, next).await {
            Err(error)
                if error.kind() == io::ErrorKind::AddrNotAvailable
                    && Instant::now() + LOOK_AGAIN < end =>
            {
                sleep(LOOK_AGAIN).await;
            }
            done => return done,
        }
    }
}

async fn connect_once(
    machine: &Machine,
    to: SocketAddr,
    range: &RangeInclusive<u16>,
    next: &AtomicU64,
) -> io::Result<Socket> {
    let count = range.len() as u64;
    for _ in 0..count {
        let offset = next.fetch_add(1, Ordering::Relaxed) % count;
        let port = range.start() + offset as u16;
        match machine.connect(SocketAddr::new(SOURCE, port), to).await {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                ) => {}
            connected => return connected,
        }
    }
    Err(exhausted())
}

/// Whether another program of the host gets a connection: it takes a port of the same range.
pub(crate) async fn probe(
    machine: &Machine,
    to: SocketAddr,
    range: RangeInclusive<u16>,
    wait: Duration,
) -> io::Result<()> {
    let next = AtomicU64::new(0);
    connect_within(machine, to, &range, &next, Instant::now() + wait)
        .await
        .map(drop)
}

/// One connection in use.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    outgoing: &'a Outgoing,
    stream: Option<(Socket, OwnedSemaphorePermit)>,
}

impl Connection<'_> {
    pub(super) fn stream(&mut self) -> &mut Socket {
        &mut self
            .stream
            .as_mut()
            .expect("taken only when the connection ends")
            .0
    }

    /// Keeps the connection for another request.
    pub(super) fn reuse(mut self) {
        let mut idle = self.outgoing.idle.lock();
        if idle.len() < MAX_IDLE
            && let Some((stream, port)) = self.stream.take()
        {
            idle.push(Idle {
                stream,
                port,
                since: Instant::now(),
            });
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
