//! TLS sessions that devices resume: each its own, as phones do, whatever the handshakes of others
//! left. A store that all devices shared would let the first connection of nearly every device be a
//! resumed one, which no server ever meets.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, NamedGroup};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::Peer;
use super::stream::Stream;

/// What one device remembers of one server. The names that rustls hands in are always that server's.
#[derive(Debug, Default)]
pub(super) struct DeviceSessions(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    group: Option<NamedGroup>,
    /// Boxed: a server speaks one of both versions with a device.
    tls12: Option<Box<Tls12ClientSessionValue>>,
    /// The last ticket. Servers send two with every handshake, and each serves once; a telephone that
    /// connects twice before an answer brings new ones is too rare to keep another for: with each rustls
    /// keeps the server's chain, some kilobytes on a real server.
    tls13: Option<Box<Tls13ClientSessionValue>>,
}

impl ClientSessionStore for DeviceSessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.lock().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.lock().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.lock().tls12 = Some(Box::new(value));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.lock().tls12.as_deref().cloned()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.lock().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.lock().tls13 = Some(Box::new(value));
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().tls13.take().map(|ticket| *ticket)
    }
}

/// The sessions of all devices towards one server, by device number.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<u32, Arc<DeviceSessions>>>);

impl Sessions {
    /// Those of that device.
    pub(super) fn of(&self, device: u32) -> Arc<DeviceSessions> {
        Arc::clone(self.0.lock().entry(device).or_default())
    }
}

tokio::task_local! {
    /// Whose connection is being worked on. rustls knows a store by its configuration; one for each
    /// connection would cost every held device 400 bytes.
    static OWN: Arc<DeviceSessions>;
}

/// The store of a configuration that all devices share: it is that of the device whose connection asks.
#[derive(Debug)]
pub(super) struct OfWhoeverAsks;

/// What that device's store says; of nobody's, nothing.
fn own<T>(ask: impl FnOnce(&DeviceSessions) -> Option<T>) -> Option<T> {
    OWN.try_with(|own| ask(own)).ok().flatten()
}

fn tell(what: impl FnOnce(&DeviceSessions)) {
    // A connection without a device has nothing to remember.
    let _ = OWN.try_with(|own| what(own));
}

impl ClientSessionStore for OfWhoeverAsks {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        tell(|own| own.set_kx_hint(name, group));
    }

    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        own(|own| own.kx_hint(name))
    }

    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        tell(|own| own.set_tls12_session(name, value));
    }

    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        own(|own| own.tls12_session(name))
    }

    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        tell(|own| own.remove_tls12_session(name));
    }

    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        tell(|own| own.insert_tls13_ticket(name, value));
    }

    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        own(|own| own.take_tls13_ticket(name))
    }
}

/// A TLS stream that remembers its sessions as its device's.
#[derive(Debug)]
pub struct OwnTls<S> {
    stream: TlsStream<S>,
    /// `None` where nothing is remembered.
    own: Option<Arc<DeviceSessions>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> OwnTls<S> {
    /// Makes the handshake.
    pub(super) async fn connect(
        connector: &TlsConnector,
        name: ServerName<'static>,
        stream: S,
        own: Option<Arc<DeviceSessions>>,
    ) -> io::Result<Self> {
        let stream = match &own {
            None => connector.connect(name, stream).await?,
            // The session to be resumed is looked for before the first poll.
            Some(one) => {
                let connecting = async { connector.connect(name, stream).await };
                OWN.scope(Arc::clone(one), connecting).await?
            }
        };
        Ok(Self { stream, own })
    }

    /// What was agreed on.
    pub(super) fn connection(&self) -> &ClientConnection {
        self.stream.get_ref().1
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> Peer
    where
        S: Stream,
    {
        let (below, tls) = self.stream.get_ref();
        Peer::of(below.peer().address, Some(tls))
    }

    /// The stream below, whatever is left to say.
    pub(super) fn into_inner(self) -> S {
        self.stream.into_inner().0
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for OwnTls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, own } = &mut *self;
        let mut read = || Pin::new(&mut *stream).poll_read(context, buffer);
        match own {
            // TLS 1.3 has its tickets come with the first answer.
            Some(own) => OWN.sync_scope(Arc::clone(own), read),
            None => read(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for OwnTls<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
