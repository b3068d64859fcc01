//! What a caller sets and gets: paths, systems, local endpoints, rows.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use tcp_table::State;

/// A host is an address.
pub type Host = IpAddr;

/// Bytes that may be under way or unread in each direction of a connection. The classic limit of TCP
/// without window scaling, and near the initial windows of Windows and Linux.
pub const WINDOW: usize = 64 * 1024;

/// Properties of the way from one host to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Time from sending to arrival. Drawn once per connection and direction.
    pub latency: RangeInclusive<Duration>,
    /// Bytes per second of each connection. `None` is unlimited.
    pub bandwidth: Option<u64>,
    /// Probability from 0 to 1 that a segment is lost. It is sent again after a retransmission
    /// timeout, which doubles each time, so loss shows as delay.
    pub loss: f64,
}

impl Default for Path {
    /// A local network.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(500)..=Duration::from_millis(1),
            bandwidth: None,
            loss: 0.0,
        }
    }
}

/// Timeouts of a host's operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct System {
    /// How long a socket stays in TIME_WAIT.
    pub time_wait: Duration,
    /// How long a socket that its program has closed waits in FIN_WAIT_2 for the peer's FIN.
    pub fin_wait_2: Duration,
    /// How long a connect waits for an answer. SYNs are sent again after 1 s, 3 s, 7 s and 15 s.
    pub syn_timeout: Duration,
    /// Least time until a segment is sent again. The round trip is added. It doubles each time.
    pub retransmission_timeout: Duration,
    /// How often a segment is sent again before the connection fails.
    pub retransmissions: u32,
}

impl System {
    /// Linux: TCP_TIMEWAIT_LEN and tcp_fin_timeout of 60 s, TCP_RTO_MIN of 200 ms, tcp_retries2 of 15.
    ///
    /// The timeout of connects is Windows', since the programs that play here as a rule have shorter
    /// ones of their own, and Linux' 127 s would only lengthen what is waited for in vain.
    pub const LINUX: Self = Self {
        time_wait: Duration::from_secs(60),
        fin_wait_2: Duration::from_secs(60),
        syn_timeout: Duration::from_secs(21),
        retransmission_timeout: Duration::from_millis(200),
        retransmissions: 15,
    };

    /// Windows: TcpTimedWaitDelay and TcpFinWait2Delay of 120 s, a least retransmission timeout of 300 ms,
    /// TcpMaxDataRetransmissions of 5.
    pub const WINDOWS: Self = Self {
        time_wait: Duration::from_secs(120),
        fin_wait_2: Duration::from_secs(120),
        syn_timeout: Duration::from_secs(21),
        retransmission_timeout: Duration::from_millis(300),
        retransmissions: 5,
    };
}

impl Default for System {
    /// [`System::LINUX`]: harness and mock run there when they play in real time.
    fn default() -> Self {
        Self::LINUX
    }
}

/// The local side of a connection that is to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Local address.
    pub address: IpAddr,
    /// Ports to choose from.
    pub ports: RangeInclusive<u16>,
    /// Whether a port may be used whose socket is in TIME_WAIT, as with Linux' `tcp_tw_reuse`.
    pub reuse_time_wait: bool,
}

impl Local {
    /// Any port of Windows' dynamic range, 49152 to 65535, without those in TIME_WAIT.
    #[must_use]
    pub const fn ephemeral(address: IpAddr) -> Self {
        Self {
            address,
            ports: 49152..=65535,
            reuse_time_wait: false,
        }
    }
}

/// One end of a connection, or a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// State.
    pub state: State,
    /// This side.
    pub local: SocketAddr,
    /// The other side; port 0 for a listening socket.
    pub remote: SocketAddr,
    /// Whether a program holds it. Not so in TIME_WAIT, after the stream was dropped, and before it
    /// is accepted.
    pub owned: bool,
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// The end that connected. `Closed` once it is gone.
    pub client: Row,
    /// The end that listened. `Closed` once it is gone.
    pub server: Row,
    /// Whether the ends may not know of each other what they should: the connection is behind a partition or forgotten
    /// by a NAT, or something that was sent was lost and has not arrived yet.
    pub is_cut: bool,
}

/// Selects sockets by their ports and family. The default selects all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// Only those with this port on this side.
    pub local: Option<u16>,
    /// Only those with this port on the other side.
    pub remote: Option<u16>,
    /// Only those of IPv6, or only those of IPv4.
    pub ipv6: Option<bool>,
}

/// What a NAT does with segments of a connection that it has forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It drops them.
    Vanish,
    /// It answers with RST. It is halfway, so the answer comes when the segment would have arrived.
    Reset,
}
