//! Making connections. The connector is a parameter of the transport, so that a whole fleet runs
//! over streams in memory under a paused clock.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificate::ClientCertificate;
use super::detour::Detour;
use super::link::{Link, LinkSpeed};
use super::ports::{LocalPorts, system_range};
use super::tls::{TlsError, TlsOptions, client_config, describe};
use super::{LocalEnd, Origin};

/// How long TCP and TLS handshakes may take, each. Windows itself gives up after 21 s; a server
/// out of ports or backlog drops silently, and this makes that a figure instead of a hang.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(21);

/// A byte stream that can be reset.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ends the connection with a reset where the stream knows such a thing.
    fn reset(self);
}

impl Stream for tokio::io::DuplexStream {
    fn reset(self) {}
}

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
    pub tls: Option<Duration>,
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

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Speak TLS.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path of the EAS virtual directory.
    pub path: String,
}

/// A URL that cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` is not a target: {problem}; expected a URL such as https://mail.lab.example")]
pub struct TargetError {
    url: String,
    problem: &'static str,
}

impl Target {
    /// Reads a URL. Without a path it is the EAS one.
    ///
    /// # Errors
    /// When the URL is not http or https, or has no host.
    pub fn parse(url: &str) -> Result<Self, TargetError> {
        let fail = |problem| TargetError {
            url: url.to_owned(),
            problem,
        };
        let parsed = reqwest::Url::parse(url).map_err(|_| fail("it is not a URL"))?;
        let tls = match parsed.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(fail("its scheme is neither https nor http")),
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            // The URL is shown, and a report with it.
            return Err(TargetError {
                url: format!(
                    "{}://***@{}",
                    parsed.scheme(),
                    parsed.host_str().unwrap_or_default()
                ),
                problem: "it must not hold credentials",
            });
        }
        let host = parsed.host_str().ok_or_else(|| fail("it has no host"))?;
        let path = match parsed.path() {
            "" | "/" => eas::http::PATH,
            path => path,
        };
        Ok(Self {
            tls,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: parsed
                .port_or_known_default()
                .ok_or_else(|| fail("it has no port"))?,
            path: path.to_owned(),
        })
    }

    /// Itself as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path)
    }

    /// The URL without its path.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// Where connections begin: addresses and ports of this machine, and what devices' links are like.
#[derive(Clone)]
struct Ends {
    /// One for each source address; one for all where the system chooses it.
    ports: Arc<[LocalPorts]>,
    /// Devices in a row that have the same source address.
    stride: u32,
    /// The devices' links, by number; devices without one have none here.
    links: Arc<[Option<LinkSpeed>]>,
}

/// Connects over the network.
pub struct Network {
    target: Target,
    host_header: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    ends: Ends,
    options: TlsOptions,
    config: Option<Arc<ClientConfig>>,
    detour: Detour,
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
        let ends = Ends {
            ports: Arc::new([LocalPorts::of_system(None, system_range())]),
            stride: 1,
            links: Arc::default(),
        };
        Self::with(target, options, config, ends)
    }

    fn with(
        target: Target,
        options: &TlsOptions,
        config: Option<Arc<ClientConfig>>,
        ends: Ends,
    ) -> Result<Self, TlsError> {
        let tls = match &config {
            Some(config) => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| TlsError::Name(target.host.clone()))?;
                Some((TlsConnector::from(Arc::clone(config)), name))
            }
            None => None,
        };
        let default = if target.tls { 443 } else { 80 };
        let host_header = match (target.host.contains(':'), target.port == default) {
            (true, true) => format!("[{}]", target.host),
            (true, false) => format!("[{}]:{}", target.host, target.port),
            (false, true) => target.host.clone(),
            (false, false) => format!("{}:{}", target.host, target.port),
        };
        Ok(Self {
            target,
            host_header,
            tls,
            ends,
            options: options.clone(),
            config,
            detour: Detour::default(),
        })
    }

    /// With those links of devices, by number; further devices have none.
    #[must_use]
    pub fn with_links(mut self, links: Arc<[Option<LinkSpeed>]>) -> Self {
        self.ends.links = links;
        self
    }

    /// Connects from those addresses, if there are any: device n from that of number n / `stride`, in
    /// turn. The stride is the number of servers that devices are dealt out to, so that each server
    /// is met from every address.
    #[must_use]
    pub fn with_sources(mut self, sources: &[IpAddr], stride: u32) -> Self {
        if !sources.is_empty() {
            let range = system_range();
            let ports = sources
                .iter()
                .map(|source| LocalPorts::of_system(Some(*source), range.clone()));
            self.ends.ports = ports.collect();
        }
        self.ends.stride = stride.max(1);
        self
    }

    /// The same connector by another way.
    ///
    /// # Errors
    /// When the server name cannot be one.
    pub fn via(mut self, detour: Detour) -> Result<Self, TlsError> {
        if let (Some(sni), Some((_, name))) = (&detour.sni, &mut self.tls) {
            *name = ServerName::try_from(sni.clone()).map_err(|_| TlsError::Name(sni.clone()))?;
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
        let config = self.config.as_ref().ok_or(TlsError::NeedsTls)?;
        let mut config = ClientConfig::clone(config);
        let certified = SingleCertAndKey::from(certificate.load()?);
        config.client_auth_cert_resolver = Arc::new(certified);
        // A session that is resumed is still that of the user who began it.
        config.resumption = Resumption::in_memory_sessions(1);
        let (target, ends) = (self.target.clone(), self.ends.clone());
        Self::with(target, &self.options, Some(Arc::new(config)), ends)?.via(self.detour.clone())
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

    async fn tcp(&self, ports: &LocalPorts) -> Result<TcpStream, ConnectError> {
        let attempt = async {
            // An address needs no resolver, which would cost a blocking thread for each connection.
            let (host, port) = self.dialled();
            if let Ok(ip) = host.parse() {
                return tcp_to(ports, SocketAddr::new(ip, port)).await;
            }
            let mut outcome = Err(ConnectError::Resolve("no addresses".to_owned()));
            for address in self.resolve().await? {
                if !ports.reach(address) {
                    continue;
                }
                outcome = tcp_to(ports, address).await;
                if outcome.is_ok() {
                    break;
                }
            }
            outcome
        };
        timeout(CONNECT_TIMEOUT, attempt)
            .await
            .map_err(|_| ConnectError::TimedOut)?
    }
}

async fn tcp_to(ports: &LocalPorts, address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let connected = ports.connect(address).await;
    connected.map_err(|error| ConnectError::from_io(&error))
}

impl Connect for Network {
    type Stream = NetStream;

    async fn connect(&self, device: u32) -> Result<Connected<NetStream>, ConnectError> {
        let Ends {
            ports,
            stride,
            links,
        } = &self.ends;
        let source = (device / stride) as usize % ports.len();
        let began = Instant::now();
        let tcp = self.tcp(&ports[source]).await?;
        let link = links.get(device as usize).copied().flatten();
        if let Some(link) = link {
            sleep(link.latency).await;
        }
        let connect = began.elapsed();
        // Without it, Nagle's algorithm delays requests that span two segments by 40 ms.
        tcp.set_nodelay(true)
            .map_err(|error| ConnectError::from_io(&error))?;
        let local = LocalEnd {
            // At most 65,536 addresses, as the plan bounds them.
            source: source as u16,
            port: tcp.local_addr().map_or(0, |address| address.port()),
        };
        let Some((connector, name)) = &self.tls else {
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
        let began = Instant::now();
        let stream = match link {
            None => NetStream::Tls(Box::new(handshake(connector, name, tcp).await?)),
            Some(speed) => {
                let link = Link::new(tcp, speed);
                NetStream::SlowTls(Box::new(handshake(connector, name, link).await?))
            }
        };
        Ok(Connected {
            stream,
            local,
            connect,
            tls: Some(began.elapsed()),
        })
    }

    fn host(&self) -> &str {
        &self.host_header
    }

    fn origin(&self) -> Option<Origin<'_>> {
        Some(Origin {
            host: &self.target.host,
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
        let config = match &self.config {
            _ if !to.tls => None,
            // Roots and sessions are too large to have them again for each server.
            Some(config) => Some(Arc::clone(config)),
            None => Some(Arc::new(client_config(&self.options)?)),
        };
        let other = Self::with(to, &self.options, config, ends)?;
        // The other way is that to this server only.
        let detour = if is_same {
            self.detour.clone()
        } else {
            Detour::default()
        };
        other.via(detour).map(Some)
    }
}

async fn handshake<S: Stream>(
    connector: &TlsConnector,
    name: &ServerName<'static>,
    stream: S,
) -> Result<TlsStream<S>, ConnectError> {
    let handshake = timeout(CONNECT_TIMEOUT, connector.connect(name.clone(), stream));
    match handshake.await {
        Err(_) => Err(ConnectError::Tls("the handshake timed out".to_owned())),
        Ok(Err(error)) => Err(ConnectError::Tls(describe(&error))),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// A connection over the network. Boxed are those that few devices have, or that are large.
#[derive(Debug)]
pub enum NetStream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// Plain TCP over a link of its own.
    Slow(Box<Link<TcpStream>>),
    /// TLS over such a link.
    SlowTls(Box<TlsStream<Link<TcpStream>>>),
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
}

impl Stream for NetStream {
    fn reset(self) {
        match self {
            Self::Plain(tcp) => tcp.reset(),
            Self::Tls(tls) => tls.into_inner().0.reset(),
            Self::Slow(link) => link.reset(),
            Self::SlowTls(tls) => tls.into_inner().0.reset(),
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::super::FailureKind;
    use super::super::ports::free_ports;
    use super::*;
    use crate::device::FailureClass;

    /// A source address with two ports: the third connection finds none, and is the harness's own
    /// failure; another address still has its own.
    #[tokio::test]
    async fn ports_that_are_exhausted_are_the_own_limit_with_its_remedy() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = Target::parse(&url).unwrap();
        let mut network = Network::new(target, &TlsOptions::default()).unwrap();
        let range = free_ports(2);
        network.ends.ports = ["127.0.0.1", "127.0.0.2"]
            .map(|source| LocalPorts::new(source.parse().ok(), Some(range.clone()), 0))
            .into();
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
