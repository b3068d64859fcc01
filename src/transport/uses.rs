//! What each connection is used for, by its port on this side: what the kernel's socket table
//! cannot tell.

use std::sync::atomic::{AtomicU8, Ordering};

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// Being made: TCP or TLS handshake.
    Connecting,
    /// A request is open that the server should answer at once.
    Asking,
    /// A request is open that the server is meant to hold.
    Held,
    /// Kept for the next request.
    Idle,
    /// Given up by its device, with FIN or RST.
    Abandoned,
    /// Given up in silence: still open, and never read again.
    Silenced,
    /// Closed after an answer, by the server, or after a failure; the kernel may keep the socket
    /// for a while.
    Closed,
}

impl Use {
    /// All of them, by number.
    pub const ALL: [Self; 7] = [
        Self::Connecting,
        Self::Asking,
        Self::Held,
        Self::Idle,
        Self::Abandoned,
        Self::Silenced,
        Self::Closed,
    ];

    /// Whether this process still has the socket open.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::Asking | Self::Held | Self::Idle | Self::Silenced
        )
    }

    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Asking => "asking",
            Self::Held => "held",
            Self::Idle => "idle",
            Self::Abandoned => "abandoned",
            Self::Silenced => "silenced",
            Self::Closed => "closed",
        }
    }
}

/// One entry for each port. Two connections of one port towards different servers share an entry,
/// which the transports avoid as long as ports suffice.
pub struct PortUses(Box<[AtomicU8]>);

impl Default for PortUses {
    fn default() -> Self {
        let ports = 0..=u16::MAX;
        Self(ports.map(|_| AtomicU8::new(0)).collect())
    }
}

impl std::fmt::Debug for PortUses {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PortUses")
    }
}

impl PortUses {
    /// What the connection with that port is used for now.
    #[must_use]
    pub fn get(&self, port: u16) -> Use {
        let number = self.0[usize::from(port)].load(Ordering::Relaxed);
        Use::ALL[usize::from(number)]
    }

    /// Says so. Port 0 is that of streams in memory, and nobody's.
    pub fn set(&self, port: u16, what: Use) {
        self.0[usize::from(port)].store(what as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_use_comes_back() {
        let uses = PortUses::default();
        assert_eq!(uses.get(4711), Use::Connecting);
        for what in Use::ALL {
            uses.set(u16::MAX, what);
            assert_eq!(uses.get(u16::MAX), what);
        }
        assert_eq!(uses.get(4711), Use::Connecting);
    }
}
