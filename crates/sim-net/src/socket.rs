//! Which connection, and which of its ends.

/// Number of a connection. Never used twice.
pub(crate) type Id = u64;

/// Which end of a connection, and the direction that starts there.
pub(crate) type Side = usize;

/// The end that connected.
pub(crate) const CLIENT: Side = 0;

/// The end that listened.
pub(crate) const SERVER: Side = 1;

/// The other end.
pub(crate) const fn other(side: Side) -> Side {
    1 - side
}

/// Which socket.
pub(crate) type Socket = (Id, Side);
