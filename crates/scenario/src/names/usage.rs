//! What a connection is used for, by name.

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
