//! Making connections. The connector is a parameter of the transport, so that a whole fleet runs
//! over streams in memory under a paused clock.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, HandshakeKind};
use scenario::{ClientCertificate, Detour, Target, TlsOptions};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;

use super::ends::{End, Ends};
use super::link::Link;
use super::net_stream::NetStream;
use super::ports::LocalPorts;
use super::sessions::{OwnTls, Sessions};
use super::stream::Stream;
use super::tls::{Handshake, TlsError, agreed, client_config};
use super::tls_words::describe;
use super::{LocalEnd, Origin, certificate};

/// How long TCP and TLS handshakes may take, each. Windows itself gives up after 21 s; a server
/// out of ports or backlog drops silently, and this makes that a figure instead of a hang.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(21);

/// A connection that was made.
#[derive(Debug)]
pub struct Connected<S> {
    /// The stream.
    pub stream: S,
    /// Its end on this side.
    pub local: LocalEnd,
    /// TCP handshake.
    pub connect: Duration,
    /// TLS handshake.
    pub tls: Option<Handshake>,
}

/// Makes connections to one target.
pub trait Connect: Send + Sync + 'static {
    /// What it makes.
    type Stream: Stream;

    /// Makes one for the device of that number.
    fn connect(
        &self,
        device: u32,
    ) -> impl Future<Output = Result<Connected<Self::Stream>, ConnectError>> + Send;

    /// The value of the Host header.
    fn host(&self) -> &str;

    /// The server's name and whether TLS is spoken; `None` for streams in memory.
    fn origin(&self) -> Option<Origin<'_>> {
        None
    }

    /// A connector to another server that shares what is dear with this one; `None` where there are
    /// no others.
    ///
    /// # Errors
    /// When TLS cannot be set up for it.
    fn towards(&self, to: &Target) -> Result<Option<Self>, TlsError>
    where
        Self: Sized,
    {
        let _ = to;
        Ok(None)
    }
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve the host name: {0}")]
    Resolve(String),
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// No answer to the handshake.
    #[error("no answer to the connection attempt within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// This machine has no free port towards the target.
    #[error(
        "this machine has no free local port towards the target: give the devices more addresses \
         ([devices] source_addresses) or widen net.ipv4.ip_local_port_range"
    )]
    NoLocalPort,
    /// This process has no free descriptor.
    #[error("this process has no free descriptor (ulimit -n)")]
    NoDescriptor,
    /// TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// The proxy: it cannot be reached, or leads nowhere.
    #[error("proxy: {0}")]
    Proxy(String),
    /// Anything else.
    #[error("cannot connect: {0}")]
    Other(String),
}

impl ConnectError {
    pub(super) fn from_io(error: &io::Error) -> Self {
        /// EMFILE and ENFILE, which `io::ErrorKind` does not name.
        const NO_DESCRIPTOR: [i32; 2] = [24, 23];
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse => Self::NoLocalPort,
            _ if error
                .raw_os_error()
                .is_some_and(|code| cfg!(unix) && NO_DESCRIPTOR.contains(&code)) =>
            {
                Self::NoDescriptor
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

/// How TLS is spoken with a server.
struct Tls {
    /// What all devices share.
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// Where devices may resume sessions, theirs.
    sessions: Option<Sessions>,
}

impl Tls {
    fn new(config: Arc<ClientConfig>, options: &TlsOptions, host: &str) -> Result<Self, TlsError> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
        Ok(Self {
            config,
            name,
            sessions: (!options.full_handshakes).then(Sessions::default),
        })
    }

    async fn handshake<S: Stream>(
        &self,
        device: u32,
        stream: S,
    ) -> Result<(Box<OwnTls<S>>, Handshake), ConnectError> {
        let began = Instant::now();
        let own = self.sessions.as_ref().map(|sessions| sessions.of(device));
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let handshake = OwnTls::connect(&connector, self.name.clone(), stream, own);
        let stream = match timeout(CONNECT_TIMEOUT, handshake).await {
            Err(_) => return Err(ConnectError::Tls("the handshake timed out".to_owned())),
            Ok(Err(error)) => return Err(ConnectError::Tls(describe(&error))),
            Ok(Ok(stream)) => stream,
        };
        let connection = stream.connection();
        let handshake = Handshake {
            took: began.elapsed(),
            version: agreed(connection.protocol_version()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        };
        Ok((Box::new(stream), handshake))
    }
}

/// Connects over the network.
pub struct Network {
    target: Target,
    host_header: String,
    tls: Option<Tls>,
    ends: Ends,
    options: TlsOptions,
    detour: Detour,
    is_spread: bool,
}

impl Network {
    /// A connector for that target.
    ///
    /// # Errors
    /// When the TLS options cannot be used.
    pub fn new(target: Target, options: &TlsOptions) -> Result<Self, TlsError> {
        let config = if target.tls {
            Some(Arc::new(client_config(options)?))
        } else {
            None
        };
        Self::with(target, options, config, Ends::default())
    }

    fn with(
        target: Target,
        options: &TlsOptions,
        config: Option<Arc<ClientConfig>>,
        ends: Ends,
    ) -> Result<Self, TlsError> {
        let tls = config.map(|config| Tls::new(config, options, &target.host));
        let tls = tls.transpose()?;
        Ok(Self {
            host_header: target.host_header(),
            target,
            tls,
            ends,
            options: options.clone(),
            detour: Detour::default(),
            is_spread: false,
        })
    }

    /// From those ends.
    #[must_use]
    pub fn with_ends(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Deals the devices out over all addresses that the name has, instead of the first that answers.
    #[must_use]
    pub fn spread(mut self, is_spread: bool) -> Self {
        self.is_spread = is_spread;
        self
    }

    /// The same connector by another way.
    ///
    /// # Errors
    /// When the server name cannot be one.
    pub fn via(mut self, detour: Detour) -> Result<Self, TlsError> {
        if let (Some(sni), Some(tls)) = (&detour.sni, &mut self.tls) {
            let name = ServerName::try_from(sni.clone());
            tls.name = name.map_err(|_| TlsError::Name(sni.clone()))?;
        }
        if let Some(host) = &detour.host_header {
            self.host_header.clone_from(host);
        }
        self.detour = detour;
        Ok(self)
    }

    /// Host and port that TCP connects to.
    fn dialled(&self) -> (&str, u16) {
        match &self.detour.connect_to {
            Some((host, port)) => (host.as_str(), *port),
            None => (self.target.host.as_str(), self.target.port),
        }
    }

    /// A connector to the same server that shows a client's certificate; the verifier with its
    /// authorities and the ports are shared.
    ///
    /// # Errors
    /// When the certificate cannot be used, or the server is not asked over TLS.
    pub fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, TlsError> {
        let tls = self.tls.as_ref().ok_or(TlsError::NeedsTls)?;
        let mut config = ClientConfig::clone(&tls.config);
        let certified = SingleCertAndKey::from(certificate::load(certificate)?);
        config.client_auth_cert_resolver = Arc::new(certified);
        let (target, ends) = (self.target.clone(), self.ends.clone());
        let other = Self::with(target, &self.options, Some(Arc::new(config)), ends)?;
        other.spread(self.is_spread).via(self.detour.clone())
    }

    /// The target's addresses, as resolved now.
    ///
    /// # Errors
    /// When the name has none.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, ConnectError> {
        let found = lookup_host(self.dialled()).await;
        let addresses: Vec<_> = found
            .map_err(|error| ConnectError::Resolve(error.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(ConnectError::Resolve("no addresses".to_owned()));
        }
        Ok(addresses)
    }

    /// A name's addresses in the order in which a device of that turn tries them.
    fn dealt(
        &self,
        mut addresses: Vec<SocketAddr>,
        ports: &LocalPorts,
        turn: usize,
    ) -> Vec<SocketAddr> {
        addresses.retain(|address| ports.reach(*address));
        if self.is_spread {
            // Resolvers give them in another order each time.
            addresses.sort_unstable();
            let count = addresses.len().max(1);
            addresses.rotate_left(turn % count);
        }
        addresses
    }

    /// `turn` is the device's place in the deal over several addresses.
    async fn tcp(&self, ports: &LocalPorts, turn: usize) -> Result<TcpStream, ConnectError> {
        let attempt = async {
            // An address needs no resolver, which would cost a blocking thread for each connection.
            let (host, port) = self.dialled();
            if let Ok(ip) = host.parse() {
                return tcp_to(ports, SocketAddr::new(ip, port)).await;
            }
            let addresses = self.dealt(self.resolve().await?, ports, turn);
            tcp_to_any(ports, &addresses).await
        };
        timeout(CONNECT_TIMEOUT, attempt)
            .await
            .map_err(|_| ConnectError::TimedOut)?
    }
}

/// To the first that answers.
async fn tcp_to_any(
    ports: &LocalPorts,
    addresses: &[SocketAddr],
) -> Result<TcpStream, ConnectError> {
    let mut outcome = Err(ConnectError::Resolve("no addresses".to_owned()));
    for address in addresses {
        outcome = tcp_to(ports, *address).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn tcp_to(ports: &LocalPorts, address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let connected = ports.connect(address).await;
    connected.map_err(|error| ConnectError::from_io(&error))
}

impl Connect for Network {
    type Stream = NetStream;

    async fn connect(&self, device: u32) -> Result<Connected<NetStream>, ConnectError> {
        let End {
            ports,
            source,
            turn,
            link,
        } = self.ends.of(device);
        let began = Instant::now();
        let tcp = self.tcp(ports, turn).await?;
        if let Some(link) = link {
            sleep(link.latency).await;
        }
        let connect = began.elapsed();
        // Without it, Nagle's algorithm delays requests that span two segments by 40 ms.
        tcp.set_nodelay(true)
            .map_err(|error| ConnectError::from_io(&error))?;
        let local = LocalEnd {
            source,
            port: tcp.local_addr().map_or(0, |address| address.port()),
        };
        let Some(tls) = &self.tls else {
            let stream = match link {
                None => NetStream::Plain(tcp),
                Some(speed) => NetStream::Slow(Box::new(Link::new(tcp, speed))),
            };
            return Ok(Connected {
                stream,
                local,
                connect,
                tls: None,
            });
        };
        let (stream, handshake) = match link {
            None => {
                let (stream, handshake) = tls.handshake(device, tcp).await?;
                (NetStream::Tls(stream), handshake)
            }
            Some(speed) => {
                let (stream, handshake) = tls.handshake(device, Link::new(tcp, speed)).await?;
                (NetStream::SlowTls(stream), handshake)
            }
        };
        Ok(Connected {
            stream,
            local,
            connect,
            tls: Some(handshake),
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
        let is_same = (&to.host, to.port) == (&self.target.host, self.target.port);
        // Who named the machine himself is not to end at the one that a name leads to.
        if self.detour.connect_to.is_some() && !is_same {
            return Ok(None);
        }
        let (to, ends) = (to.clone(), self.ends.clone());
        let config = match &self.tls {
            _ if !to.tls => None,
            // The roots are too large to have them again for each server.
            Some(tls) => Some(Arc::clone(&tls.config)),
            None => Some(Arc::new(client_config(&self.options)?)),
        };
        let other = Self::with(to, &self.options, config, ends)?;
        // The other way is that to this server only.
        let detour = if is_same {
            self.detour.clone()
        } else {
            Detour::default()
        };
        other.spread(self.is_spread).via(detour).map(Some)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::super::FailureKind;
    use super::super::ports::{free_ports, system_range};
    use super::*;
    use crate::device::FailureClass;

    /// A source address with two ports: the third connection finds none, and is the harness's own
    /// failure; another address still has its own.
    #[tokio::test]
    async fn ports_that_are_exhausted_are_the_own_limit_with_its_remedy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Target::parse(&url).unwrap();
        let network = Network::new(target, &TlsOptions::default()).unwrap();
        let range = free_ports(2);
        let ports = ["127.0.0.1", "127.0.0.2"]
            .map(|source| LocalPorts::new(source.parse().ok(), Some(range.clone()), 0));
        let network = network.with_ends(Ends::with_ports(ports.into()));
        let mut held = Vec::new();
        for device in [0, 2] {
            let connected = network.connect(device).await.unwrap();
            assert_eq!(connected.local.source, 0);
            assert!(range.contains(&connected.local.port));
            held.push(connected);
        }
        let error = network.connect(4).await.unwrap_err();
        assert_eq!(error, ConnectError::NoLocalPort);
        assert!(error.to_string().contains("source_addresses"), "{error}");
        let kind = FailureKind::Connect(error);
        assert_eq!(FailureClass::of(&kind), FailureClass::OwnLimit);
        let other = network.connect(1).await.unwrap();
        assert_eq!(other.local.source, 1);
        assert!(range.contains(&other.local.port), "the same ports again");
        let NetStream::Plain(stream) = &other.stream else {
            panic!("plain HTTP");
        };
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.2");
        // A connection that was reset leaves its port at once.
        held.remove(0).stream.reset();
        assert_eq!(network.connect(6).await.unwrap().local.source, 0);
    }

    /// A name with two addresses: each device has one of its own, the same at every attempt, and goes to
    /// the other only where that refuses.
    #[tokio::test]
    async fn devices_are_spread_over_all_addresses_of_a_name() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let second = TcpListener::bind(("127.0.0.2", port)).unwrap();
        let ends = [&first, &second].map(|listener| listener.local_addr().unwrap());
        let ports = LocalPorts::of_system(None, system_range());
        let target = Target::parse("https://mail.lab.example").unwrap();
        let insecure = TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        };
        let network = Network::new(target, &insecure).unwrap();
        let resolvers = vec![ends[1], ends[0]];
        assert_eq!(network.dealt(resolvers.clone(), &ports, 0), resolvers);
        // Another server that a device is sent to is met so too.
        let elsewhere = Target::parse("https://mail2.lab.example").unwrap();
        let network = network.spread(true).towards(&elsewhere).unwrap().unwrap();
        let of_device = async |device, answer: Vec<SocketAddr>| {
            let answer = network.dealt(answer, &ports, device);
            let stream = tcp_to_any(&ports, &answer).await?;
            Ok::<_, ConnectError>(stream.peer_addr().unwrap())
        };
        for device in 0..6 {
            let own = ends[device % 2];
            for answer in [vec![ends[0], ends[1]], vec![ends[1], ends[0]]] {
                assert_eq!(of_device(device, answer).await, Ok(own));
            }
        }
        drop(second);
        assert_eq!(of_device(1, ends.to_vec()).await, Ok(ends[0]));
        drop(first);
        let refused = of_device(1, ends.to_vec()).await;
        assert_eq!(refused, Err(ConnectError::Refused));
    }

    /// The user routed around what the name leads to: a redirect does not lead back there.
    #[test]
    fn a_redirect_does_not_lead_around_the_machine_that_was_named() {
        let target = |url: &str| Target::parse(url).unwrap();
        let network = Network::new(target("http://mail.lab.example"), &TlsOptions::default());
        let detour = Detour {
            connect_to: Some(("127.0.0.1".to_owned(), 8080)),
            ..Detour::default()
        };
        let network = network.unwrap().via(detour).unwrap();
        let same = network.towards(&target("http://mail.lab.example/elsewhere"));
        assert_eq!(same.unwrap().unwrap().dialled(), ("127.0.0.1", 8080));
        for other in ["http://mail.lab.example:81", "http://mail2.lab.example"] {
            assert!(
                network.towards(&target(other)).unwrap().is_none(),
                "{other}"
            );
        }
    }
}
