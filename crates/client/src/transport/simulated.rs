//! Connections over a simulated network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use scenario::Target;
use sim_net::{Local, SimNet, SimStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::either::Either;

use super::connect::{CONNECT_TIMEOUT, Connect, ConnectError, Connected};
use super::ends::Ends;
use super::link::Link;
use super::peer::Peer;
use super::stream::Stream;
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
                None => Either::Left(stream),
                Some(speed) => Either::Right(Box::new(Link::new(stream, speed))),
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

/// A connection over a simulated network: as the network carries it, or over a link of its own.
pub type SimulatedStream = Either<SimStream, Box<Link<SimStream>>>;

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
            Self::Left(stream) => stream.reset(),
            Self::Right(link) => link.reset(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Left(stream) => stream.peer(),
            Self::Right(link) => link.peer(),
        }
    }
}
