//! A client's byte stream.

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio_rustls::server::TlsStream;

use crate::machine::Socket;

/// What the front door needs of a connection beside its bytes.
pub(crate) trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Makes the connection end with a reset when it is dropped.
    fn reset_on_drop(&self);
}

impl ClientStream for Socket {
    fn reset_on_drop(&self) {
        // Without it the client sees a proper end: a milder fault, but one.
        let _ = self.set_zero_linger();
    }
}

impl ClientStream for TlsStream<Socket> {
    fn reset_on_drop(&self) {
        self.get_ref().0.reset_on_drop();
    }
}

/// In memory there is no reset; the client sees the end.
impl ClientStream for DuplexStream {
    fn reset_on_drop(&self) {}
}
