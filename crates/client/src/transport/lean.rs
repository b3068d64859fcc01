//! The transport that makes thousands of devices cheap: it writes the request, waits for the
//! answer **holding no buffer**, and reads it through one buffer per thread.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;

use parking_lot::Mutex;
use scenario::names::Use;
use scenario::{ClientCertificate, Target};
use tokio::io::ReadBuf;
use tokio::time::{Instant, timeout_at};

use super::answer::{Limits, Parser};
use super::connect::{Connect, Network};
use super::peer::Peer;
use super::reading::{Chunk, read_some};
use super::redirect::{MAX_PLACES, RedirectError, Redirects};
use super::stream::Stream;
use super::tls::TlsError;
use super::writing::{Written, write};
use super::{
    Abandon, Answer, Begun, ConnectionEnd, Failure, FailureKind, LocalEnd, Method, Origin,
    PortUses, Request, Timing, Transport,
};

/// Connections given up in silence. They stay open, unread, until the fleet ends or too many have
/// gathered, so that the server sees neither FIN nor RST.
#[derive(Debug)]
pub struct Silenced<S> {
    parked: Mutex<Vec<(S, LocalEnd)>>,
    limit: usize,
}

impl<S: Stream> Silenced<S> {
    /// Keeps at most `limit` of them; then the oldest is reset, as a NAT gateway would.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            parked: Mutex::default(),
            limit,
        }
    }

    /// Keeps a connection; gives the end of one that is not kept any more.
    fn park(&self, stream: S, end: LocalEnd) -> Option<LocalEnd> {
        let mut parked = self.parked.lock();
        parked.push((stream, end));
        if parked.len() <= self.limit {
            return None;
        }
        let (oldest, end) = parked.remove(0);
        oldest.reset();
        Some(end)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parked.lock().len()
    }
}

/// One device's transport.
pub struct Lean<C: Connect> {
    shared: Arc<Shared<C>>,
    device: u32,
    connection: Option<Connection<C::Stream>>,
    pending: Option<Pending>,
}

/// What all devices share.
struct Shared<C: Connect> {
    connector: C,
    silenced: Arc<Silenced<C::Stream>>,
    limits: Limits,
    uses: Arc<PortUses>,
    elsewhere: Arc<Elsewhere<C>>,
}

/// The servers that devices were sent to.
struct Elsewhere<C: Connect> {
    redirects: Redirects,
    /// By TLS, host and port; each as long as a device is there.
    places: Mutex<HashMap<Place, Weak<Shared<C>>>>,
}

/// TLS, host and port.
type Place = (bool, String, u16);

impl<C: Connect> Shared<C> {
    /// What devices share that go to that server.
    fn towards(&self, to: &Target) -> Result<Arc<Self>, RedirectError> {
        let origin = self.connector.origin().ok_or(RedirectError::NotHere)?;
        self.elsewhere.redirects.check(origin, to)?;
        let mut places = self.elsewhere.places.lock();
        places.retain(|_, place| place.strong_count() > 0);
        let key = (to.tls, to.host.clone(), to.port);
        if let Some(known) = places.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if places.len() >= MAX_PLACES {
            return Err(RedirectError::TooMany);
        }
        let made = self.connector.towards(to);
        let made = made.map_err(|error| RedirectError::Unusable(error.to_string()))?;
        let shared = Arc::new(Self {
            connector: made.ok_or(RedirectError::NotHere)?,
            silenced: Arc::clone(&self.silenced),
            limits: self.limits,
            uses: Arc::clone(&self.uses),
            elsewhere: Arc::clone(&self.elsewhere),
        });
        places.insert(key, Arc::downgrade(&shared));
        Ok(shared)
    }
}

struct Connection<S> {
    stream: S,
    local: LocalEnd,
}

/// A request that was written. Every device has this for hours.
struct Pending {
    sent: Instant,
    reused: bool,
    is_options: bool,
    /// The beginning of an answer that came before all of the request was written.
    #[expect(
        clippy::box_collection,
        reason = "each waiting device has room for this: one word in place of three"
    )]
    early: Option<Box<Vec<u8>>>,
}

/// Makes transports that share connector and limits.
pub struct LeanFactory<C: Connect>(Arc<Shared<C>>);

impl<C: Connect> Lean<C> {
    /// A factory of transports; `silent` bounds the connections given up in silence, `uses` is told
    /// what each connection is used for.
    pub fn factory(
        connector: C,
        silent: usize,
        limits: Limits,
        uses: Arc<PortUses>,
    ) -> LeanFactory<C> {
        Self::factory_to(connector, silent, limits, uses, Redirects::default())
    }

    /// As [`factory`](Self::factory), for devices that may be sent to those hosts.
    pub fn factory_to(
        connector: C,
        silent: usize,
        limits: Limits,
        uses: Arc<PortUses>,
        redirects: Redirects,
    ) -> LeanFactory<C> {
        LeanFactory(Arc::new(Shared {
            connector,
            silenced: Arc::new(Silenced::new(silent)),
            limits,
            uses,
            elsewhere: Arc::new(Elsewhere {
                redirects,
                places: Mutex::default(),
            }),
        }))
    }

    /// Ends the connection, if there is one.
    fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.uses.set(connection.local, Use::Closed);
        }
    }
}

impl<C: Connect> Drop for Lean<C> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<C: Connect> LeanFactory<C> {
    /// A transport without a connection, of device 0.
    #[must_use]
    pub fn make(&self) -> Lean<C> {
        self.make_for(0)
    }

    /// A transport without a connection, of the device of that number.
    #[must_use]
    pub fn make_for(&self, device: u32) -> Lean<C> {
        Lean {
            shared: Arc::clone(&self.0),
            device,
            connection: None,
            pending: None,
        }
    }

    /// Connections given up in silence that are still open.
    #[must_use]
    pub fn silenced(&self) -> usize {
        self.0.silenced.count()
    }
}

impl LeanFactory<Network> {
    /// A factory of transports to the same server that show a client's certificate.
    ///
    /// # Errors
    /// When the certificate cannot be used.
    pub fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, TlsError> {
        let shared = &self.0;
        Ok(Self(Arc::new(Shared {
            connector: shared.connector.presenting(certificate)?,
            silenced: Arc::clone(&shared.silenced),
            limits: shared.limits,
            uses: Arc::clone(&shared.uses),
            // Connectors to other servers show the certificate too.
            elsewhere: Arc::new(Elsewhere {
                redirects: shared.elsewhere.redirects.clone(),
                places: Mutex::default(),
            }),
        })))
    }
}

impl<C: Connect> Transport for Lean<C> {
    fn another(&self) -> Self {
        LeanFactory(Arc::clone(&self.shared)).make_for(self.device)
    }

    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        // Whatever a former request left on the connection cannot be told from this one's answer.
        if self.pending.take().is_some() {
            self.close();
        }
        let mut reused = self.connection.is_some();
        if let Some(connection) = &mut self.connection
            && !is_idle(&mut connection.stream).await
        {
            self.close();
            reused = false;
        }
        let (mut connect, mut tls) = (None, None);
        if self.connection.is_none() {
            let made = Box::pin(self.shared.connector.connect(self.device))
                .await
                .map_err(|error| Failure {
                    kind: error.into(),
                    sent: None,
                    reused: false,
                })?;
            (connect, tls) = (Some(made.connect), made.tls);
            self.connection = Some(Connection {
                stream: made.stream,
                local: made.local,
            });
        }
        let head = compose(&request, self.shared.connector.host());
        let Some(connection) = &mut self.connection else {
            return Err(Failure {
                kind: FailureKind::ClosedWithoutAnswer,
                sent: None,
                reused,
            });
        };
        let Written { sent, early } = match write(&mut connection.stream, &head).await {
            Ok(written) => written,
            Err(kind) => {
                self.close();
                return Err(Failure {
                    kind,
                    sent: None,
                    reused,
                });
            }
        };
        let now = if request.held { Use::Held } else { Use::Asking };
        self.shared.uses.set(connection.local, now);
        let is_options = request.method == Method::Options;
        self.pending = Some(Pending {
            sent,
            reused,
            is_options,
            early: early.map(Box::new),
        });
        Ok(Begun {
            sent,
            local: connection.local,
            connect,
            tls,
        })
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let (Some(connection), Some(pending)) = (&mut self.connection, &mut self.pending) else {
            return Err(Failure {
                kind: FailureKind::ClosedWithoutAnswer,
                sent: None,
                reused: false,
            });
        };
        let early = pending.early.take();
        let is_early = early.is_some();
        let (sent, reused) = (Some(pending.sent), pending.reused);
        let fail = |kind| Failure { kind, sent, reused };
        // Only this future lives while a Ping is held; the parser comes after the first byte.
        let first = match early {
            Some(early) => Ok(*early),
            None => match timeout_at(deadline, read_some(&mut connection.stream)).await {
                Ok(first) => first,
                Err(_) => return Err(fail(FailureKind::TimedOut { received: 0 })),
            },
        };
        let rest = Box::pin(receive(
            connection,
            pending,
            first,
            deadline,
            &self.shared.limits,
        ));
        let mut result = rest.await.map_err(fail);
        // The server waits for the rest of the request, and would take another one for it.
        if let Ok(answer) = &mut result
            && is_early
            && answer.end == ConnectionEnd::Kept
        {
            answer.end = ConnectionEnd::ClosedByUs;
        }
        match &result {
            Ok(answer) if answer.end == ConnectionEnd::Kept => {
                self.pending = None;
                self.shared.uses.set(connection.local, Use::Idle);
            }
            Err(Failure {
                kind: FailureKind::TimedOut { .. },
                ..
            }) => {}
            _ => {
                self.pending = None;
                self.close();
            }
        }
        result
    }

    fn abandon(&mut self, how: Abandon) {
        self.pending = None;
        let Some(connection) = self.connection.take() else {
            return;
        };
        let (uses, end) = (&self.shared.uses, connection.local);
        match how {
            Abandon::Fin => {
                uses.set(end, Use::Abandoned);
                drop(connection);
            }
            Abandon::Rst => {
                uses.set(end, Use::Abandoned);
                connection.stream.reset();
            }
            Abandon::Silence => {
                uses.set(end, Use::Silenced);
                if let Some(end) = self.shared.silenced.park(connection.stream, end) {
                    uses.set(end, Use::Abandoned);
                }
            }
        }
    }

    fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.shared.connector.origin()
    }

    fn peer(&self) -> Peer {
        let connection = self.connection.as_ref();
        connection.map_or_else(Peer::default, |open| open.stream.peer())
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        let shared = self.shared.towards(to)?;
        self.pending = None;
        self.close();
        self.shared = shared;
        Ok(())
    }
}

async fn receive<S: Stream>(
    connection: &mut Connection<S>,
    pending: &Pending,
    first: Chunk,
    deadline: Instant,
    limits: &Limits,
) -> Result<Answer, FailureKind> {
    let mut parser = Parser::new(pending.is_options);
    let mut chunk = first;
    loop {
        let bytes = chunk.map_err(|error| match FailureKind::from_io(&error) {
            FailureKind::ClosedWithoutAnswer if parser.received() > 0 => FailureKind::Truncated {
                received: parser.received(),
            },
            kind => kind,
        })?;
        if bytes.is_empty() {
            parser.end_of_stream()?;
            break;
        }
        if parser.push(&bytes, limits)? {
            break;
        }
        chunk = timeout_at(deadline, read_some(&mut connection.stream))
            .await
            .map_err(|_| FailureKind::TimedOut {
                received: parser.received(),
            })?;
    }
    parser.finish(Timing::since(pending.sent), limits)
}

/// Whether a kept connection is still good: anything to read, even its end, means that it is not.
async fn is_idle<S: Stream>(stream: &mut S) -> bool {
    poll_fn(|context| {
        let mut byte = [0];
        let mut buffer = ReadBuf::new(&mut byte);
        let read = Pin::new(&mut *stream).poll_read(context, &mut buffer);
        Poll::Ready(read.is_pending())
    })
    .await
}

fn compose(request: &Request<'_>, host: &str) -> Vec<u8> {
    let mut head = String::with_capacity(512 + request.body.len());
    // Writing to a string cannot fail.
    let _ = write!(
        head,
        "{} {} HTTP/1.1\r\nHost: {host}\r\n",
        request.method.as_str(),
        request.path
    );
    for (name, value) in request.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !request.body.is_empty() || request.method == Method::Post {
        let _ = write!(head, "Content-Length: {}\r\n", request.body.len());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(request.body);
    bytes
}
