//! Connections over a simulated network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use sim_net::{Local, SimNet, SimStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, timeout};

use super::connect::{CONNECT_TIMEOUT, Connect, ConnectError, Connected};
use super::ends::Ends;
use super::link::Link;
use super::peer::Peer;
use super::stream::Stream;
use super::target::Target;
use super::tls::TlsError;
use super::{LocalEnd, Origin};

/// Where devices are if the plan names no source addresses, as over the real loopback.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Connects devices to one server of a simulated network. Names are not resolved: a target is an address.
pub struct SimulatedNetwork {
    net: SimNet,
    target: Target,
    address: SocketAddr,
    host_header: String,
    sources: Vec<IpAddr>,
    ends: Ends,
}

impl SimulatedNetwork {
    /// To that server, from those addresses in turn.
    ///
    /// # Errors
    /// When the target's host is a name.
    pub fn new(
        net: SimNet,
        target: Target,
        sources: &[IpAddr],
        ends: Ends,
    ) -> Result<Self, String> {
        let host: IpAddr = target.host.parse().map_err(|_| {
            format!(
                "expected an address in a simulated network, found the name {}",
                target.host
            )
        })?;
        Ok(Self {
            net,
            address: SocketAddr::new(host, target.port),
            host_header: target.host_header(),
            target,
            sources: match sources {
                [] => vec![SOURCE],
                some => some.to_vec(),
            },
            ends,
        })
    }
}

impl Connect for SimulatedNetwork {
    type Stream = SimulatedStream;

    async fn connect(&self, device: u32) -> Result<Connected<SimulatedStream>, ConnectError> {
        let end = self.ends.of(device);
        let began = Instant::now();
        let source = self.sources[usize::from(end.source) % self.sources.len()];
        let connecting = self.net.connect(Local::ephemeral(source), self.address);
        let stream = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(|error| ConnectError::from_io(&error))?,
            Err(_) => return Err(ConnectError::TimedOut),
        };
        if let Some(link) = end.link {
            sleep(link.latency).await;
        }
        let local = LocalEnd {
            source: end.source,
            port: stream.local_addr().map_or(0, |address| address.port()),
        };
        Ok(Connected {
            stream: match end.link {
                None => SimulatedStream::Plain(stream),
                Some(speed) => SimulatedStream::Slow(Box::new(Link::new(stream, speed))),
            },
            local,
            connect: began.elapsed(),
            tls: None,
        })
    }

    fn host(&self) -> &str {
        &self.host_header
    }

    fn origin(&self) -> Option<Origin<'_>> {
        Some(Origin {
            host: &self.target.host,
            port: self.target.port,
            secure: self.target.tls,
        })
    }

    fn towards(&self, to: &Target) -> Result<Option<Self>, TlsError> {
        let other = Self::new(
            self.net.clone(),
            to.clone(),
            &self.sources,
            self.ends.clone(),
        );
        Ok(other.ok())
    }
}

/// A connection over a simulated network, perhaps over a link of its own.
#[derive(Debug)]
pub enum SimulatedStream {
    /// As the network carries it.
    Plain(SimStream),
    /// Over a link.
    Slow(Box<Link<SimStream>>),
}

impl Stream for SimStream {
    fn reset(self) {
        Self::reset(self);
    }

    fn peer(&self) -> Peer {
        Peer::of(self.peer_addr().ok(), None)
    }
}

impl Stream for SimulatedStream {
    fn reset(self) {
        match self {
            Self::Plain(stream) => stream.reset(),
            Self::Slow(link) => link.reset(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Plain(stream) => stream.peer(),
            Self::Slow(link) => link.peer(),
        }
    }
}

impl AsyncRead for SimulatedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Slow(link) => Pin::new(link.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for SimulatedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Slow(link) => Pin::new(link.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Slow(link) => Pin::new(link.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Slow(link) => Pin::new(link.as_mut()).poll_shutdown(context),
        }
    }
}
