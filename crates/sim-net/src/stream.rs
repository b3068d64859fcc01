//! Streams.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    shared::Shared,
    socket::{Id, Side},
};

/// A connection, as its program holds it.
///
/// Dropping it closes it: with FIN, or with RST if received data was not read or if
/// [`SimStream::set_zero_linger`] was called.
#[derive(Debug)]
pub struct SimStream {
    shared: Arc<Shared>,
    id: Id,
    side: Side,
    local: SocketAddr,
    remote: SocketAddr,
}

impl SimStream {
    pub(crate) const fn new(
        shared: Arc<Shared>,
        id: Id,
        side: Side,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Self {
        Self {
            shared,
            id,
            side,
            local,
            remote,
        }
    }

    /// Endpoint on this side.
    ///
    /// # Errors
    ///
    /// None; the form is tokio's.
    pub const fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Endpoint on the other side.
    ///
    /// # Errors
    ///
    /// None; the form is tokio's.
    pub const fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.remote)
    }

    /// Number of the connection in the network. The first has 0.
    #[must_use]
    pub const fn connection(&self) -> u64 {
        self.id
    }

    /// Reads what is there. `Ok(0)` is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; else as reading.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len();
        let mut filled = 0;
        let read = self.shared.with(|inner, now| {
            inner.read(self.id, self.side, None, most, now, |part| {
                buffer[filled..filled + part.len()].copy_from_slice(part);
                filled += part.len();
            })
        });
        match read {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Makes the drop that follows send RST, as SO_LINGER of zero does.
    pub fn set_zero_linger(&self) {
        self.shared.with(|inner, _| {
            if let Some(connection) = inner.connections.get_mut(&self.id) {
                connection.ends[self.side].zero_linger = true;
            }
        });
    }

    /// Closes it with RST.
    pub fn reset(self) {
        self.set_zero_linger();
    }

    pub(crate) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared
            .with(|inner, _| inner.poll_connected(self.id, context))
    }
}

impl AsyncRead for SimStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = buffer.remaining();
        let read = self.shared.with(|inner, now| {
            let waker = Some(context.waker());
            inner.read(self.id, self.side, waker, most, now, |part| {
                buffer.put_slice(part);
            })
        });
        read.map_ok(drop)
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|inner, now| {
            let waker = context.waker();
            inner.write(self.id, self.side, waker, data, now)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN. Reading goes on. A connection that has failed is shut down already.
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared
            .with(|inner, now| inner.finish(self.id, self.side, now));
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.shared
            .with(|inner, now| inner.close(self.id, self.side, now));
    }
}
