//! A connection over the network: plain TCP or TLS, each perhaps over a link of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::link::Link;
use super::peer::Peer;
use super::sessions::OwnTls;
use super::stream::Stream;

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
