//! The machine that a mock runs on: this one, or a simulated one inside the process. It gives sockets, the
//! table of sockets, and what the system says of processes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use mock_api::control::{WorkerCounts, WorkerTruth};
use sim_net::{Local, Ports, SimListener, SimNet, SimStream, wall_clock};
use tcp_table::{Query, Row, State};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::process::{self, Memory, TcpCounters};

/// Pending connections: a herd after a recycle must not be refused by the kernel (SYN cookies or
/// drops would add whole seconds to what clients measure).
const BACKLOG: i32 = 16_384;
/// What an empty worker of a simulated machine has beside its heap: w3wp.exe with Exchange's assemblies
/// needs some hundred megabytes; the mock's own worker needs a few.
const SIMULATED_BASE: u64 = 8 << 20;
/// Address space over private memory on a simulated machine.
const SIMULATED_VIRTUAL: u64 = 1 << 30;
/// Handles of an empty worker on a simulated machine.
const SIMULATED_HANDLES: u64 = 16;
/// Threads of a worker on a simulated machine.
const SIMULATED_THREADS: u64 = 1;
/// Windows' process ids are multiples of four, and the first ones belong to the system.
const SIMULATED_PIDS: u32 = 4_000;

/// Where a mock runs.
#[derive(Debug, Clone, Default)]
pub enum Machine {
    /// On this machine.
    #[default]
    System,
    /// On a machine of that network, under tokio's paused clock. Its workers are tasks.
    Simulated(SimNet),
}

/// How many sockets are in each state, in the order of [`State::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketCounts {
    /// Those with IPv4 addresses.
    pub ipv4: [u32; State::ALL.len()],
    /// Those with IPv6 addresses.
    pub ipv6: [u32; State::ALL.len()],
}

impl SocketCounts {
    fn of(&mut self, ipv6: bool) -> &mut [u32; State::ALL.len()] {
        if ipv6 { &mut self.ipv6 } else { &mut self.ipv4 }
    }

    /// Those of both families.
    #[must_use]
    pub fn all(&self) -> [u32; State::ALL.len()] {
        std::array::from_fn(|state| self.ipv4[state] + self.ipv6[state])
    }
}

impl Machine {
    /// Whether this is a simulated one.
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated(_))
    }

    pub(crate) fn listen(&self, address: SocketAddr) -> io::Result<Listening> {
        match self {
            Self::System => {
                let domain = socket2::Domain::for_address(address);
                let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
                // A restarted mock must get its port back while old connections are in TIME_WAIT.
                #[cfg(unix)]
                socket.set_reuse_address(true)?;
                socket.set_nonblocking(true)?;
                socket.bind(&address.into())?;
                socket.listen(BACKLOG)?;
                Ok(Listening::System(TcpListener::from_std(socket.into())?))
            }
            Self::Simulated(net) => Ok(Listening::Simulated(
                net.listen(address, BACKLOG.unsigned_abs() as usize)?,
            )),
        }
    }

    /// Connects from one port. A port in TIME_WAIT may be taken again, as Windows does for a new remote
    /// endpoint.
    ///
    /// # Errors
    /// `AddrInUse` and `AddrNotAvailable` when the port is taken.
    pub(crate) async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Socket> {
        match self {
            Self::System => {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(from)?;
                let stream = socket.connect(to).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::System(stream))
            }
            Self::Simulated(net) => {
                let local = Local {
                    address: from.ip(),
                    ports: from.port()..=from.port(),
                    reuse_time_wait: true,
                };
                net.connect(local, to).await.map(Socket::Simulated)
            }
        }
    }

    /// The sockets that a query asks for; `None` where there is no such table.
    #[must_use]
    pub fn rows(&self, query: Query) -> Option<Vec<Row>> {
        match self {
            Self::System => tcp_table::rows(query),
            Self::Simulated(net) => Some(simulated_rows(net, query)),
        }
    }

    /// How many sockets that a query asks for are in each state. On a simulated machine this costs the same
    /// however many there are, unless both ports are given.
    #[must_use]
    pub fn counts(&self, query: Query) -> Option<SocketCounts> {
        match self {
            Self::System => {
                let mut counts = SocketCounts::default();
                for row in tcp_table::rows(query)? {
                    counts.of(row.local.is_ipv6())[row.state as usize] += 1;
                }
                Some(counts)
            }
            Self::Simulated(net) => {
                let mut counts = SocketCounts::default();
                let of_family = counts.of(query.ipv6);
                *of_family = net.counts(Ports {
                    local: query.local_port,
                    remote: query.remote_port,
                    ipv6: Some(query.ipv6),
                });
                if !query.established {
                    of_family[State::Established as usize] = 0;
                }
                Some(counts)
            }
        }
    }

    /// The process id of a worker that says of itself that it is `own`. Workers of a simulated machine
    /// share one process.
    pub(crate) fn pid(&self, own: u32, generation: u64) -> u32 {
        match self {
            Self::System => own,
            Self::Simulated(_) => {
                let number = u32::try_from(generation).unwrap_or(u32::MAX);
                SIMULATED_PIDS.saturating_add(number.saturating_mul(4))
            }
        }
    }

    /// Memory of a worker.
    pub(crate) fn memory(&self, pid: u32, counts: &WorkerCounts) -> Option<Memory> {
        match self {
            Self::System => process::memory(pid),
            Self::Simulated(_) => {
                // As in a process: what the heap model calls young is never really allocated.
                let lives = counts.heap_bytes.saturating_sub(counts.young_bytes);
                let private = SIMULATED_BASE + lives;
                Some(Memory {
                    private,
                    resident: private,
                    virtual_bytes: private + SIMULATED_VIRTUAL,
                })
            }
        }
    }

    /// Memory that a stranded request keeps. A simulated machine counts it, in the worker's heap, and has
    /// none.
    pub(crate) fn occupy(&self, bytes: u64) -> Vec<u8> {
        match self {
            // Filled with something, so that the pages are really there.
            Self::System => vec![0xA5; usize::try_from(bytes).unwrap_or(usize::MAX)],
            Self::Simulated(_) => Vec::new(),
        }
    }

    /// Handles of a worker.
    pub(crate) fn handles(&self, pid: u32, counts: &WorkerCounts) -> Option<u64> {
        match self {
            Self::System => process::handles(pid),
            Self::Simulated(_) => Some(SIMULATED_HANDLES + counts.outgoing_sockets),
        }
    }

    /// Threads of a worker, and its start in seconds since 1970.
    pub(crate) fn threads_and_start(&self, worker: &WorkerTruth) -> Option<(u64, f64)> {
        match self {
            Self::System => process::threads_and_start(worker.pid),
            Self::Simulated(_) => {
                let now = wall_clock::now().as_millisecond() as f64 / 1e3;
                Some((SIMULATED_THREADS, now - worker.age))
            }
        }
    }

    /// Counters of TCP that concern all connections.
    pub(crate) fn tcp_counters(&self) -> Option<TcpCounters> {
        match self {
            Self::System => process::tcp_counters(),
            Self::Simulated(_) => None,
        }
    }

    /// Does work that blocks. A simulated machine has nothing that does, and one thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, tokio::task::JoinError> {
        match self {
            Self::System => tokio::task::spawn_blocking(work).await,
            Self::Simulated(_) => Ok(work()),
        }
    }
}

fn simulated_rows(net: &SimNet, query: Query) -> Vec<Row> {
    let rows = if query.established {
        net.rows()
    } else {
        net.rows_but_established(query.remote_port)
    };
    let wanted = rows.into_iter().filter(|row| {
        row.local.is_ipv6() == query.ipv6
            && query.local_port.is_none_or(|port| row.local.port() == port)
            && query
                .remote_port
                .is_none_or(|port| row.remote.port() == port)
    });
    let rows = wanted.map(|row| Row {
        state: row.state,
        local: row.local,
        remote: row.remote,
        // No process has a file of its own here.
        inode: 0,
    });
    rows.collect()
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listening {
    System(TcpListener),
    Simulated(SimListener),
}

impl Listening {
    pub(crate) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Self::System(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Only delays small answers if it fails.
                let _ = stream.set_nodelay(true);
                Ok((Socket::System(stream), peer))
            }
            Self::Simulated(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::Simulated(stream), peer))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(listener) => listener.local_addr(),
            Self::Simulated(listener) => listener.local_addr(),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Socket {
    System(TcpStream),
    Simulated(SimStream),
}

impl Socket {
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(stream) => stream.peer_addr(),
            Self::Simulated(stream) => stream.peer_addr(),
        }
    }

    /// The drop that follows is a reset.
    pub(crate) fn set_zero_linger(&self) -> io::Result<()> {
        match self {
            Self::System(stream) => stream.set_zero_linger(),
            Self::Simulated(stream) => {
                stream.set_zero_linger();
                Ok(())
            }
        }
    }

    /// Readable while idle means that the other end has closed it.
    pub(crate) fn is_silent(&self) -> bool {
        let readable = match self {
            Self::System(stream) => stream.try_read(&mut [0]),
            Self::Simulated(stream) => stream.try_read(&mut [0]),
        };
        matches!(&readable, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads what is there into `bytes`; 0 at the end. While it waits it has no buffer of its own, so that
    /// a held Ping costs little more than its socket.
    pub(crate) async fn read_into(
        &mut self,
        bytes: &mut Vec<u8>,
        chunk: usize,
    ) -> io::Result<usize> {
        if let Self::System(stream) = self {
            stream.readable().await?;
        }
        bytes.reserve(chunk);
        self.read_buf(bytes).await
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Simulated(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Simulated(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_flush(context),
            Self::Simulated(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Simulated(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
