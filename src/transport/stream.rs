//! What bytes go over: plain TCP or TLS, each perhaps over a link of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::link::Link;
use super::peer::Peer;
use super::sessions::OwnTls;

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

/// A connection over the network. Boxed are those that few devices have, or that are large.
#[derive(Debug)]
pub enum NetStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<OwnTls<TcpStream>>),
    /// Plain TCP over a link of its own.
    Slow(Box<Link<TcpStream>>),
    /// TLS over such a link.
    SlowTls(Box<OwnTls<Link<TcpStream>>>),
}

/// What reads and writes.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

impl NetStream {
    fn duplex(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream),
            Self::Tls(stream) => Pin::new(stream.as_mut()),
            Self::Slow(stream) => Pin::new(stream.as_mut()),
            Self::SlowTls(stream) => Pin::new(stream.as_mut()),
        }
    }
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

impl Stream for NetStream {
    fn reset(self) {
        match self {
            Self::Plain(tcp) => tcp.reset(),
            Self::Tls(tls) => tls.into_inner().reset(),
            Self::Slow(link) => link.reset(),
            Self::SlowTls(tls) => tls.into_inner().reset(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Plain(tcp) => tcp.peer(),
            Self::Tls(tls) => tls.peer(),
            Self::Slow(link) => link.peer(),
            Self::SlowTls(tls) => tls.peer(),
        }
    }
}

impl AsyncRead for NetStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.duplex().poll_read(context, buffer)
    }
}

impl AsyncWrite for NetStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.duplex().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.duplex().poll_shutdown(context)
    }
}
