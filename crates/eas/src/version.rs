use std::fmt;
use std::str::FromStr;

/// A protocol version (ASHTTP 2.2.1.1.2.4), ordered from old to new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// 2.5, Exchange 2003 SP2.
    V2_5,
    /// 12.0, Exchange 2007.
    V12_0,
    /// 12.1, Exchange 2007 SP1.
    V12_1,
    /// 14.0, Exchange 2010.
    V14_0,
    /// 14.1, Exchange 2010 SP1 and 2013.
    V14_1,
    /// 16.0, Exchange 2016 Preview.
    V16_0,
    /// 16.1, Exchange 2016.
    V16_1,
}

/// A version string that names none of the published versions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown protocol version `{0}`; known are {list}", list = ProtocolVersion::ALL_TEXT)]
pub struct UnknownVersion(pub String);

impl ProtocolVersion {
    /// All versions, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V2_5,
        Self::V12_0,
        Self::V12_1,
        Self::V14_0,
        Self::V14_1,
        Self::V16_0,
        Self::V16_1,
    ];
    const ALL_TEXT: &'static str = "2.5, 12.0, 12.1, 14.0, 14.1, 16.0, 16.1";

    /// The text of the `MS-ASProtocolVersion` header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2_5 => "2.5",
            Self::V12_0 => "12.0",
            Self::V12_1 => "12.1",
            Self::V14_0 => "14.0",
            Self::V14_1 => "14.1",
            Self::V16_0 => "16.0",
            Self::V16_1 => "16.1",
        }
    }

    /// Version times ten, the first byte of a base64 query (ASHTTP 2.2.1.1.1.1).
    #[must_use]
    pub const fn times_ten(self) -> u8 {
        match self {
            Self::V2_5 => 25,
            Self::V12_0 => 120,
            Self::V12_1 => 121,
            Self::V14_0 => 140,
            Self::V14_1 => 141,
            Self::V16_0 => 160,
            Self::V16_1 => 161,
        }
    }

    /// The inverse of [`times_ten`](Self::times_ten).
    #[must_use]
    pub fn from_times_ten(byte: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.times_ten() == byte)
    }

    /// Whether errors travel as a Status in the body (14.0 and later) rather than as an HTTP
    /// status (ASCMD 2.2.2).
    #[must_use]
    pub fn has_status_in_body(self) -> bool {
        self >= Self::V14_0
    }

    /// Whether Provision carries the DeviceInformation (14.1 and later must, older must not;
    /// ASPROV 3.1.5.1).
    #[must_use]
    pub fn provisions_device_information(self) -> bool {
        self >= Self::V14_1
    }

    /// Whether a device introduces itself by Settings, between Provision and FolderSync (12.1 and 14.0;
    /// ASCMD 2.2.1.18).
    #[must_use]
    pub fn sets_device_information(self) -> bool {
        matches!(self, Self::V12_1 | Self::V14_0)
    }

    /// Whether SendMail is a WBXML command (14.0 and later) rather than a bare MIME message.
    #[must_use]
    pub fn sends_mail_as_wbxml(self) -> bool {
        self >= Self::V14_0
    }

    /// Whether message bodies travel as AirSyncBase bodies, asked for by BodyPreference (12.0 and
    /// later; 2.5 has `Truncation` and the Email class's own Body; ASAIRS 1.3).
    #[must_use]
    pub fn has_air_sync_base(self) -> bool {
        self >= Self::V12_0
    }

    /// Whether a Sync may hang: `Wait` from 12.1 on (ASCMD 2.2.3.198).
    #[must_use]
    pub fn has_hanging_sync(self) -> bool {
        self >= Self::V12_1
    }

    /// Whether a hanging Sync says its interval in seconds, as `HeartbeatInterval` (14.0 and later;
    /// 12.1 has only `Wait`, in minutes).
    #[must_use]
    pub fn has_sync_heartbeat(self) -> bool {
        self >= Self::V14_0
    }

    /// The highest version of a comma list, as in `MS-ASProtocolVersions`, that is also in
    /// `known`. Unknown entries (`1.0`, `2.1`) are passed over, as old servers list them.
    #[must_use]
    pub fn negotiate(list: &str, known: &[Self]) -> Option<Self> {
        list.split(',')
            .filter_map(|entry| entry.trim().parse::<Self>().ok())
            .filter(|version| known.contains(version))
            .max()
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ProtocolVersion {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| UnknownVersion(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiation_takes_the_highest_common_version() {
        let server = "1.0, 2.0,2.5,12.0,12.1,14.0,14.1";
        assert_eq!(
            ProtocolVersion::negotiate(server, &ProtocolVersion::ALL),
            Some(ProtocolVersion::V14_1)
        );
        assert_eq!(
            ProtocolVersion::negotiate(server, &[ProtocolVersion::V12_1, ProtocolVersion::V16_1]),
            Some(ProtocolVersion::V12_1)
        );
        assert_eq!(
            ProtocolVersion::negotiate("1.0", &ProtocolVersion::ALL),
            None
        );
    }

    #[test]
    fn text_and_byte_forms_round_trip() {
        for version in ProtocolVersion::ALL {
            assert_eq!(version.as_str().parse(), Ok(version));
            assert_eq!(
                ProtocolVersion::from_times_ten(version.times_ten()),
                Some(version)
            );
        }
    }
}
