//! What a device is doing, by name.

/// What a device is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceState {
    /// Not started, or ended.
    Off,
    /// Discovery, provisioning, folder hierarchy.
    Starting,
    /// Waiting for a Sync.
    Syncing,
    /// A Ping is held.
    Holding,
    /// Without a network after abandoning a Ping.
    Away,
    /// Waiting before another attempt.
    BackingOff,
}

impl DeviceState {
    /// Every state, in the order of the census.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::Starting,
        Self::Syncing,
        Self::Holding,
        Self::Away,
        Self::BackingOff,
    ];

    /// Its name in files and on the terminal.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Syncing => "syncing",
            Self::Holding => "holding",
            Self::Away => "away",
            Self::BackingOff => "backing_off",
        }
    }

    /// Whether mail can reach the device: it is on, and has a network.
    #[must_use]
    pub const fn is_reachable(self) -> bool {
        !matches!(self, Self::Off | Self::Away)
    }

    /// Whether the server has a request of the device open.
    #[must_use]
    pub const fn has_request_open(self) -> bool {
        matches!(self, Self::Starting | Self::Syncing | Self::Holding)
    }
}
