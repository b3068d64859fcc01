//! What reqwest does not tell of its connections: when one was made, how long each handshake took,
//! from which port, to whom, and when a request was written.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::connect::{Connection, HttpInfo};
use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::{CertificateDer, ServerName};
use scenario::TlsVersion;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};
use tower_layer::Layer;
use tower_service::Service;

use crate::transport::peer::{Peer, ShownCertificate};
use crate::transport::sessions::DeviceSessions;
use crate::transport::tls::{Proof, with_proof};
use crate::transport::{Handshake, LocalEnd};

/// The pool gets a connection back from a task of its own, some microseconds after the answer's last
/// byte. A request that comes sooner would make a second connection for the device; it waits so long
/// for the first.
const GIVE_BACK: Duration = Duration::from_millis(50);

/// Bytes of a request's body that are handed over at once, so that those of a large mail are counted
/// as written when they mostly are.
const PIECE: usize = 64 << 10;

/// Why a connection is not made that was begun; nobody waits for it any more.
const KEPT_CAME_BACK: &str = "the kept connection came back";

type BoxError = Box<dyn Error + Send + Sync>;

/// The notes of one device's connection.
#[derive(Debug, Default)]
pub(super) struct Wire {
    notes: Mutex<Notes>,
    /// A request has its connection.
    found: Notify,
    /// A server without HTTP/2 is no server.
    only_http2: bool,
}

#[derive(Debug, Default)]
struct Notes {
    /// Odd while a request looks for its connection.
    turn: u64,
    /// The connection is kept, and the pool has it or is about to.
    kept: bool,
    tls_began: Option<Instant>,
    /// The handshake agreed on TLS 1.3.
    is_tls13: bool,
    made: Option<Made>,
    local: LocalEnd,
    address: Option<SocketAddr>,
    certificate: Option<CertificateDer<'static>>,
}

/// A connection that was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// TCP handshake; through a proxy, with the way through it.
    pub(super) connect: Duration,
    /// TLS handshake.
    pub(super) tls: Option<Handshake>,
}

impl Wire {
    pub(super) fn new(only_http2: bool) -> Self {
        Self {
            notes: Mutex::default(),
            found: Notify::new(),
            only_http2,
        }
    }

    /// A request looks for its connection.
    pub(super) fn look(&self) {
        let mut notes = self.notes.lock();
        notes.turn += 1;
        (notes.made, notes.tls_began, notes.is_tls13) = (None, None, false);
    }

    /// It has one: whether and how it was made for it, and its port.
    pub(super) fn found(&self) -> (Option<Made>, LocalEnd) {
        let mut notes = self.notes.lock();
        notes.turn += 1;
        self.found.notify_waiters();
        (notes.made, notes.local)
    }

    /// Who is at the other end of the connection, without what reqwest tells nobody: the cipher suite,
    /// and the certificate of a session that was resumed.
    pub(super) fn peer(&self) -> Peer {
        let notes = self.notes.lock();
        let certificate = notes.certificate.as_ref();
        Peer {
            address: notes.address,
            cipher: None,
            certificate: certificate.and_then(|certificate| ShownCertificate::read(certificate)),
        }
    }

    /// The answer is here and the connection kept.
    pub(super) fn keep(&self) {
        self.notes.lock().kept = true;
    }

    /// Whether a TLS handshake had begun on the connection that is being made.
    pub(super) fn is_in_tls(&self) -> bool {
        self.notes.lock().tls_began.is_some()
    }

    fn tls_begins(&self) {
        self.notes.lock().tls_began.get_or_insert_with(Instant::now);
    }
}

/// The server did not choose HTTP/2.
#[derive(Debug)]
pub(super) struct NoHttp2;

impl fmt::Display for NoHttp2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the server does not offer HTTP/2 (ALPN h2)")
    }
}

impl Error for NoHttp2 {}

/// The layer around reqwest's connector that takes the notes.
#[derive(Debug, Clone)]
pub(super) struct Watch(pub(super) Arc<Wire>);

impl<S> Layer<S> for Watch {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched {
            inner,
            wire: Arc::clone(&self.0),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Watched<S> {
    inner: S,
    wire: Arc<Wire>,
}

impl<S, R> Service<R> for Watched<S>
where
    S: Service<R, Error = BoxError> + 'static,
    S::Response: Connection + 'static,
    S::Future: Send + 'static,
    R: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // It does nothing before it is polled.
        let connecting = self.inner.call(request);
        let wire = Arc::clone(&self.wire);
        Box::pin(async move {
            let found = wire.found.notified();
            let turn = wire.notes.lock().turn;
            wire.wait_for_the_kept(turn).await?;
            let began = Instant::now();
            // One that were made after all would take the kept one's place in the pool, and no notes
            // would be its own.
            let (connection, proof) = tokio::select! {
                biased;
                made = with_proof(connecting) => made,
                () = found => return Err(KEPT_CAME_BACK.into()),
            };
            let connection = connection?;
            wire.connected(&connection, turn, began, proof)?;
            Ok(connection)
        })
    }
}

impl Wire {
    /// Fails when the request has got the kept connection meanwhile.
    async fn wait_for_the_kept(&self, turn: u64) -> Result<(), BoxError> {
        if !self.notes.lock().kept {
            return Ok(());
        }
        sleep(GIVE_BACK).await;
        let mut notes = self.notes.lock();
        if notes.turn != turn {
            return Err(KEPT_CAME_BACK.into());
        }
        notes.kept = false;
        Ok(())
    }

    /// `proof` is what the server proved in the handshake: nothing in a resumed one.
    fn connected(
        &self,
        connection: &impl Connection,
        turn: u64,
        began: Instant,
        proof: Option<Proof>,
    ) -> Result<(), BoxError> {
        let ended = Instant::now();
        let connected = connection.connected();
        if self.only_http2 && !connected.is_negotiated_h2() {
            return Err(Box::new(NoHttp2));
        }
        let mut extras = http::Extensions::new();
        connected.get_extras(&mut extras);
        let mut notes = self.notes.lock();
        if notes.turn != turn {
            return Err(KEPT_CAME_BACK.into());
        }
        let tls_began = notes.tls_began;
        notes.made = Some(Made {
            connect: tls_began.unwrap_or(ended).saturating_duration_since(began),
            tls: tls_began.map(|tls_began| Handshake {
                took: ended.saturating_duration_since(tls_began),
                version: match &proof {
                    Some(proof) => proof.version,
                    None if notes.is_tls13 => TlsVersion::Tls13,
                    None => TlsVersion::Tls12,
                },
                resumed: proof.is_none(),
            }),
        });
        // Without source addresses of the plan there is one, that of the system's choice.
        let info = extras.get::<HttpInfo>();
        notes.local.port = info.map_or(0, |info| info.local_addr().port());
        notes.address = info.map(HttpInfo::remote_addr);
        notes.certificate = proof.map(|proof| proof.certificate);
        Ok(())
    }
}

/// The TLS sessions of a device, with notes of when a handshake looks for one, which is the only sign
/// that reqwest gives of where TCP ends and TLS begins, and of the key exchange, which is remembered at
/// the end of TLS 1.3's handshakes alone.
#[derive(Debug)]
pub(super) struct Sessions {
    /// Where there are none, none is resumed.
    pub(super) own: Option<Arc<DeviceSessions>>,
    pub(super) wire: Arc<Wire>,
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, server_name: ServerName<'static>, group: NamedGroup) {
        self.wire.notes.lock().is_tls13 = true;
        if let Some(own) = &self.own {
            own.set_kx_hint(server_name, group);
        }
    }

    fn kx_hint(&self, server_name: &ServerName<'_>) -> Option<NamedGroup> {
        self.wire.tls_begins();
        self.own.as_ref()?.kx_hint(server_name)
    }

    fn set_tls12_session(&self, server_name: ServerName<'static>, value: Tls12ClientSessionValue) {
        if let Some(own) = &self.own {
            own.set_tls12_session(server_name, value);
        }
    }

    fn tls12_session(&self, server_name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.own.as_ref()?.tls12_session(server_name)
    }

    fn remove_tls12_session(&self, server_name: &ServerName<'static>) {
        if let Some(own) = &self.own {
            own.remove_tls12_session(server_name);
        }
    }

    fn insert_tls13_ticket(
        &self,
        server_name: ServerName<'static>,
        value: Tls13ClientSessionValue,
    ) {
        if let Some(own) = &self.own {
            own.insert_tls13_ticket(server_name, value);
        }
    }

    fn take_tls13_ticket(
        &self,
        server_name: &ServerName<'static>,
    ) -> Option<Tls13ClientSessionValue> {
        self.wire.tls_begins();
        self.own.as_ref()?.take_tls13_ticket(server_name)
    }
}

/// A request's body that tells when the connection is about to write the last of it.
pub(super) struct Told {
    bytes: Bytes,
    tell: Option<oneshot::Sender<Instant>>,
}

impl Told {
    pub(super) fn new(bytes: Bytes) -> (Self, oneshot::Receiver<Instant>) {
        let (tell, told) = oneshot::channel();
        let body = Self {
            bytes,
            tell: Some(tell),
        };
        (body, told)
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(PIECE);
        let piece = self.bytes.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // hyper lets go of a body when its last bytes, or the head of a request without any, are in the
        // buffer that it writes next; of one that is not sent it lets go with bytes left.
        if self.bytes.is_empty()
            && let Some(tell) = self.tell.take()
        {
            // Nobody asks any more.
            let _ = tell.send(Instant::now());
        }
    }
}
