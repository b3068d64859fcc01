//! TCP sockets of this machine: their states with the names that Windows tools use, and the
//! kernel's table read through Linux's sock_diag. Knows nothing of whose sockets they are.

mod kernel;
mod state;

use std::net::SocketAddr;

pub use kernel::rows;
pub use state::State;

/// Which sockets are asked for. The kernel filters, so a reading costs what it gives, not what the
/// machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// IPv6 sockets instead of IPv4 ones. IPv4 connections to a listener of both are IPv6 here.
    pub ipv6: bool,
    /// Only those with this port on this side.
    pub local_port: Option<u16>,
    /// Only those with this port on the other side.
    pub remote_port: Option<u16>,
    /// Connected ones too. They are nearly all, and the kernel takes more than a microsecond for each.
    pub established: bool,
}

/// One socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// State.
    pub state: State,
    /// This side. A mapped IPv4 address is given as IPv4.
    pub local: SocketAddr,
    /// The other side; port 0 for a listening socket.
    pub remote: SocketAddr,
    /// Number of the open file; zero once no process has it.
    pub inode: u32,
}
