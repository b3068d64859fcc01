//! States of a TCP socket and their names.

/// State of a TCP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No connection.
    Closed,
    /// Waits for connections.
    Listening,
    /// Connecting.
    SynSent,
    /// Being connected.
    SynReceived,
    /// Connected.
    Established,
    /// Closed here, not yet confirmed.
    FinWait1,
    /// Closed here, still open there.
    FinWait2,
    /// Closed there, still open here: the mark of a stranded Ping.
    CloseWait,
    /// Closed on both sides at once.
    Closing,
    /// Closed there and then here, not yet confirmed.
    LastAck,
    /// Closed, kept for late segments.
    TimeWait,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listening,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// From Linux's number (netinet/tcp.h).
    #[must_use]
    pub const fn from_linux(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Established,
            2 => Self::SynSent,
            // 12 is a request that has not become a socket yet.
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listening,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// As netstat of Windows spells it.
    #[must_use]
    pub const fn netstat(self) -> &'static str {
        match self {
            Self::FinWait1 => "FIN_WAIT_1",
            Self::FinWait2 => "FIN_WAIT_2",
            _ => self.exporter(),
        }
    }

    /// As windows_exporter's label `state` spells it.
    #[must_use]
    pub const fn exporter(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listening => "LISTENING",
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN_WAIT1",
            Self::FinWait2 => "FIN_WAIT2",
            Self::CloseWait => "CLOSE_WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
        }
    }

    /// In lower case, as the last part of a gauge's name.
    #[must_use]
    pub const fn gauge(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Listening => "listening",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::Established => "established",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::CloseWait => "close_wait",
            Self::Closing => "closing",
            Self::LastAck => "last_ack",
            Self::TimeWait => "time_wait",
        }
    }

    /// Whether a socket in this state keeps its port from being used for another connection by its
    /// owner: a listener has no port of its own choice, and what is left of a closed connection no
    /// owner any more.
    #[must_use]
    pub const fn keeps_port(self) -> bool {
        !matches!(self, Self::Listening | Self::TimeWait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_both_names() {
        let names: Vec<_> = State::ALL
            .iter()
            .map(|state| (state.netstat(), state.exporter()))
            .filter(|(netstat, exporter)| netstat != exporter)
            .collect();
        assert_eq!(
            names,
            [("FIN_WAIT_1", "FIN_WAIT1"), ("FIN_WAIT_2", "FIN_WAIT2")]
        );
        assert_eq!((0..=255).filter_map(State::from_linux).count(), 12);
        for state in State::ALL {
            assert_eq!(state.gauge().to_uppercase(), state.exporter());
        }
    }
}
