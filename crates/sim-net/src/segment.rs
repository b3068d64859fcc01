//! Segments.

use tokio::time::Instant;

/// A segment under way.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Content.
    pub(crate) kind: Kind,
    /// When it was sent last.
    pub(crate) sent: Instant,
    /// When it arrives, or when it is sent again if it is lost.
    pub(crate) due: Instant,
    /// Whether it will not arrive.
    pub(crate) lost: bool,
    /// Whether a NAT answers it with RST.
    pub(crate) refused: bool,
    /// How often it was sent again.
    pub(crate) tries: u32,
}

/// Content of a segment.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Asks for a connection.
    Syn,
    /// Grants it.
    SynAck,
    /// Confirms that the grant arrived.
    Ack,
    /// Bytes.
    Data(Vec<u8>),
    /// No more bytes.
    Fin,
    /// Confirms a FIN.
    FinAck,
    /// There is no such connection.
    Rst {
        /// Whether it answers a segment, which is sent again if this does not arrive.
        answers: bool,
    },
}

impl Kind {
    /// Bytes that it carries.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            _ => 0,
        }
    }

    /// Name in the trace.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Syn => "SYN",
            Self::SynAck => "SYN+ACK",
            Self::Ack => "ACK",
            Self::Data(_) => "DATA",
            Self::Fin => "FIN",
            Self::FinAck => "FIN+ACK",
            Self::Rst { .. } => "RST",
        }
    }
}
