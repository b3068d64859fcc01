//! What bytes go over.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::peer::Peer;

/// A byte stream that can be reset.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ends the connection with a reset where the stream knows such a thing.
    fn reset(self);

    /// Who is at the other end, as far as the stream knows.
    fn peer(&self) -> Peer {
        Peer::default()
    }
}

impl Stream for tokio::io::DuplexStream {
    fn reset(self) {}
}

impl Stream for TcpStream {
    fn reset(self) {
        // With a linger time of zero the close that follows is a reset. If it cannot be set, the
        // connection ends with a FIN, which the caller's account would then call by the wrong name;
        // on an open TCP socket it does not fail.
        let _ = self.set_zero_linger();
    }

    fn peer(&self) -> Peer {
        Peer::of(self.peer_addr().ok(), None)
    }
}
