//! The transport that speaks HTTP/2 and goes through proxies: reqwest. It costs several times what
//! [`Lean`](super::Lean) does, and sees answers, not bytes; `docs/devices.md` has the differences.
//!
//! Each device has a client of its own, made with its connection and gone with it. hyper's pool gives
//! a connection to whoever asks first, so devices that shared a client would swap connections, and none
//! could give up its own. What is large in a client, the roots of TLS, is shared.

mod failure;
mod reading;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use failure::At;
use parking_lot::Mutex;
use reading::{Framing, finish, head_length};
use reqwest::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url};
use rustls::ClientConfig;
use rustls::client::Resumption;
use scenario::names::Use;
use scenario::{Target, TlsOptions};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use wire::{Sessions, Told, Watch, Wire};

use super::answer::too_large;
use super::connect::CONNECT_TIMEOUT;
use super::peer::Peer;
use super::redirect::{RedirectError, Redirects};
use super::sessions::DeviceSessions;
use super::tls::client_config;
use super::{
    Abandon, Answer, Begun, ConnectError, ConnectionEnd, Failure, FailureKind, Limits, LocalEnd,
    Method, Origin, PortUses, Request, Timing, TlsError, Transport,
};

/// A request that is not written by then never will be: the handshakes, and a minute for the largest
/// mail over a slow network.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(CONNECT_TIMEOUT.as_secs() + 60);

/// How a server is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carrier {
    /// Through this proxy.
    pub proxy: Option<Proxy>,
    /// By HTTP/2: over TLS as ALPN agrees, without TLS by prior knowledge. A server that does not speak
    /// it cannot be reached.
    pub http2: bool,
}

/// An HTTP proxy: CONNECT for https, the whole URL in the request line for http.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http://proxy.lab:3128`.
    pub url: String,
    /// What it asks for.
    pub login: Option<ProxyLogin>,
}

/// User and password for a proxy (Basic).
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyLogin {
    /// User.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for ProxyLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ProxyLogin({}, …)", self.user)
    }
}

/// One device's transport.
pub struct Reqwest {
    shared: Arc<Shared>,
    /// The device's TLS sessions with its server.
    sessions: Arc<DeviceSessions>,
    open: Option<Open>,
    pending: Option<Pending>,
}

/// Makes transports that share what is large.
#[derive(Clone)]
pub struct ReqwestFactory(Arc<Shared>);

struct Shared {
    target: Target,
    options: TlsOptions,
    redirects: Redirects,
    tls: ClientConfig,
    carrier: Carrier,
    limits: Limits,
    silenced: Arc<Mutex<Vec<Parked>>>,
    silent: usize,
    uses: Arc<PortUses>,
}

/// A client and its connection.
struct Open {
    client: Client,
    wire: Arc<Wire>,
    local: LocalEnd,
}

/// A connection given up in silence. Nothing of it is ever looked at again; it is open as long as
/// this is there.
struct Parked {
    open: Open,
    _pending: Option<Pending>,
}

type Sending = Pin<Box<dyn Future<Output = reqwest::Result<Response>> + Send>>;

/// A request that was written.
struct Pending {
    stage: Stage,
    sent: Instant,
    reused: bool,
    is_options: bool,
    /// Bytes of the head, as it is written in HTTP/1.1.
    head: usize,
    body: Vec<u8>,
}

enum Stage {
    /// For the head of the answer.
    Waiting(Sending),
    /// The head was here before the request was completely written.
    Early(Box<reqwest::Result<Response>>),
    /// The body.
    Reading(Box<Response>),
}

impl Reqwest {
    /// A factory of transports to one target. `silent` bounds the connections given up in silence;
    /// `uses` is told what each connection is used for; `redirects` says where the server may send
    /// devices.
    ///
    /// # Errors
    /// When the TLS options or the proxy cannot be used.
    pub fn factory(
        target: &Target,
        options: &TlsOptions,
        carrier: Carrier,
        silent: usize,
        limits: Limits,
        uses: Arc<PortUses>,
        redirects: Redirects,
    ) -> Result<ReqwestFactory, TlsError> {
        let factory = ReqwestFactory(Arc::new(Shared {
            tls: tls_for(target, options, &carrier)?,
            target: target.clone(),
            options: options.clone(),
            redirects,
            carrier,
            limits,
            silenced: Arc::default(),
            silent,
            uses,
        }));
        // What is wrong with the proxy's URL is said now, not by every device.
        match factory.0.open(&Arc::default()) {
            Ok(_) => Ok(factory),
            Err(error) => Err(TlsError::Setup(failure::innermost(&error))),
        }
    }

    /// Ends the connection, if there is one.
    fn close(&mut self, what: Use) {
        self.pending = None;
        if let Some(open) = self.open.take() {
            self.shared.uses.set(open.local, what);
        }
    }
}

impl Drop for Reqwest {
    fn drop(&mut self) {
        self.close(Use::Closed);
    }
}

impl ReqwestFactory {
    /// A transport without a connection.
    #[must_use]
    pub fn make(&self) -> Reqwest {
        Reqwest {
            shared: Arc::clone(&self.0),
            sessions: Arc::default(),
            open: None,
            pending: None,
        }
    }

    /// Connections given up in silence that are still open.
    #[must_use]
    pub fn silenced(&self) -> usize {
        self.0.silenced.lock().len()
    }
}

fn tls_for(
    target: &Target,
    options: &TlsOptions,
    carrier: &Carrier,
) -> Result<ClientConfig, TlsError> {
    // A client without any looks for a cryptography provider of the process, and panics.
    let mut tls = if target.tls {
        client_config(options)?
    } else {
        client_config(&TlsOptions {
            insecure: true,
            ..TlsOptions::default()
        })?
    };
    if carrier.http2 {
        tls.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(tls)
}

impl Shared {
    /// What a device needs that goes to that server.
    fn towards(&self, to: &Target) -> Result<Self, RedirectError> {
        let from = Origin {
            host: &self.target.host,
            port: self.target.port,
            secure: self.target.tls,
        };
        self.redirects.check(from, to)?;
        let tls = if to.tls == self.target.tls {
            self.tls.clone()
        } else {
            let tls = tls_for(to, &self.options, &self.carrier);
            tls.map_err(|error| RedirectError::Unusable(error.to_string()))?
        };
        Ok(Self {
            target: to.clone(),
            options: self.options.clone(),
            redirects: self.redirects.clone(),
            tls,
            carrier: self.carrier.clone(),
            limits: self.limits,
            silenced: Arc::clone(&self.silenced),
            silent: self.silent,
            uses: Arc::clone(&self.uses),
        })
    }

    /// A client that makes its connection with the first request, of the device with those sessions.
    fn open(&self, sessions: &Arc<DeviceSessions>) -> reqwest::Result<Open> {
        let http2 = self.carrier.http2;
        let wire = Arc::new(Wire::new(http2 && self.target.tls));
        let mut tls = self.tls.clone();
        let may_resume = !self.options.full_handshakes;
        let own = may_resume.then(|| Arc::clone(sessions));
        tls.resumption = Resumption::store(Arc::new(Sessions {
            own,
            wire: Arc::clone(&wire),
        }));
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .connector_layer(Watch(Arc::clone(&wire)))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_max_headers(Limits::HEADERS)
            .http2_max_header_list_size(u32::try_from(self.limits.head).unwrap_or(u32::MAX))
            // The connection is the device's as long as it lives.
            .pool_idle_timeout(None::<Duration>)
            .pool_max_idle_per_host(1)
            .tcp_keepalive(None::<Duration>);
        // A kernel that gives a silent connection up would tell the server.
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        {
            builder = builder.tcp_user_timeout(None::<Duration>);
        }
        builder = match (http2, self.target.tls) {
            (false, _) => builder.http1_only(),
            (true, false) => builder.http2_prior_knowledge(),
            (true, true) => builder,
        };
        builder = match &self.carrier.proxy {
            None => builder.no_proxy(),
            Some(proxy) => {
                let mut by = reqwest::Proxy::all(proxy.url.as_str())?;
                if let Some(login) = &proxy.login {
                    by = by.basic_auth(&login.user, &login.password);
                }
                builder.proxy(by)
            }
        };
        Ok(Open {
            client: builder.build()?,
            wire,
            local: LocalEnd::default(),
        })
    }

    /// The request in reqwest's terms.
    fn request(&self, request: &Request<'_>, body: Told) -> Result<reqwest::Request, String> {
        let url = format!("{}{}", self.target.origin(), request.path);
        let url = Url::parse(&url).map_err(|error| error.to_string())?;
        let method = match request.method {
            Method::Options => reqwest::Method::OPTIONS,
            Method::Post => reqwest::Method::POST,
            Method::Get => reqwest::Method::GET,
        };
        let mut out = reqwest::Request::new(method, url);
        let headers = out.headers_mut();
        for (name, value) in request.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let value = HeaderValue::from_str(value);
            // The value may be a secret.
            let (Ok(name), Ok(value)) = (name, value) else {
                return Err("a header of the request is not what HTTP allows".to_owned());
            };
            headers.append(name, value);
        }
        if request.method == Method::Post && request.body.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        *out.body_mut() = Some(reqwest::Body::wrap(body));
        Ok(out)
    }

    fn park(&self, parked: Parked) {
        let mut silenced = self.silenced.lock();
        silenced.push(parked);
        if silenced.len() > self.silent {
            let oldest = silenced.remove(0);
            self.uses.set(oldest.open.local, Use::Abandoned);
        }
    }
}

impl Open {
    fn at(&self, carrier: &Carrier, received: usize) -> At {
        At {
            in_tls: self.wire.is_in_tls(),
            by_proxy: carrier.proxy.is_some(),
            received,
        }
    }
}

/// Until the request is written, or failed, or answered before that: a body that is let go without
/// having been sent means nothing, so what came of the request is asked first.
async fn hand_over(
    sending: &mut Sending,
    told: &mut oneshot::Receiver<Instant>,
) -> (Option<Instant>, Option<reqwest::Result<Response>>) {
    let early = tokio::select! {
        biased;
        early = sending => early,
        Ok(sent) = &mut *told => return (Some(sent), None),
    };
    (told.try_recv().ok(), Some(early))
}

impl Transport for Reqwest {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        // Whatever a former request left cannot be told from this one's answer.
        if self.pending.is_some() {
            self.close(Use::Closed);
        }
        let fail = |kind, sent, reused| Failure { kind, sent, reused };
        let setup = |text: String| fail(ConnectError::Other(text).into(), None, false);
        let had_one = self.open.is_some();
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self
                .shared
                .open(&self.sessions)
                .map_err(|error| setup(failure::innermost(&error)))?,
        };
        let (body, mut told) = Told::new(Bytes::copy_from_slice(request.body));
        let is_options = request.method == Method::Options;
        let asked = match self.shared.request(&request, body) {
            Ok(asked) => asked,
            Err(text) => {
                self.shared.uses.set(open.local, Use::Closed);
                return Err(setup(text));
            }
        };
        let mut sending: Sending = Box::pin(open.client.execute(asked));
        open.wire.look();
        let begun = timeout(BEGIN_TIMEOUT, hand_over(&mut sending, &mut told)).await;
        let Ok((written, early)) = begun else {
            self.shared.uses.set(open.local, Use::Closed);
            return Err(fail(FailureKind::TimedOut { received: 0 }, None, had_one));
        };
        let at = open.at(&self.shared.carrier, 0);
        let (made, local) = open.wire.found();
        let reused = had_one && made.is_none();
        if local != open.local {
            self.shared.uses.set(open.local, Use::Closed);
            open.local = local;
        }
        if let Some(Err(error)) = &early {
            let kind = failure::kind(error, at, &self.shared.limits);
            let is_connect = matches!(kind, FailureKind::Connect(_));
            // Of one that was written, the answer tells.
            if is_connect || written.is_none() {
                self.shared.uses.set(local, Use::Closed);
                return Err(fail(kind, None, reused && !is_connect));
            }
        }
        // An answer to a part of the request counts as one to the whole.
        let sent = written.unwrap_or_else(Instant::now);
        let now = if request.held { Use::Held } else { Use::Asking };
        self.shared.uses.set(local, now);
        self.pending = Some(Pending {
            stage: match early {
                Some(early) => Stage::Early(Box::new(early)),
                None => Stage::Waiting(sending),
            },
            sent,
            reused,
            is_options,
            head: 0,
            body: Vec::new(),
        });
        self.open = Some(open);
        Ok(Begun {
            sent,
            local,
            connect: made.map(|made| made.connect),
            tls: made.and_then(|made| made.tls),
        })
    }

    async fn answer(&mut self, deadline: Instant) -> Result<Answer, Failure> {
        let (Some(open), Some(pending)) = (&self.open, &mut self.pending) else {
            return Err(Failure {
                kind: FailureKind::ClosedWithoutAnswer,
                sent: None,
                reused: false,
            });
        };
        let (sent, reused) = (Some(pending.sent), pending.reused);
        let received = timeout_at(deadline, pending.receive(open, &self.shared)).await;
        let Ok(result) = received else {
            let received = pending.received();
            return Err(Failure {
                kind: FailureKind::TimedOut { received },
                sent,
                reused,
            });
        };
        let is_kept = result
            .as_ref()
            .is_ok_and(|answer| answer.end == ConnectionEnd::Kept);
        if is_kept {
            open.wire.keep();
            self.shared.uses.set(open.local, Use::Idle);
            self.pending = None;
        } else {
            self.close(Use::Closed);
        }
        result.map_err(|kind| Failure { kind, sent, reused })
    }

    /// reqwest does not give its sockets away, so none can be reset: [`Abandon::Rst`] closes, and
    /// scenarios refuse it.
    fn abandon(&mut self, how: Abandon) {
        match how {
            Abandon::Fin | Abandon::Rst => self.close(Use::Abandoned),
            Abandon::Silence => {
                let pending = self.pending.take();
                if let Some(open) = self.open.take() {
                    self.shared.uses.set(open.local, Use::Silenced);
                    self.shared.park(Parked {
                        open,
                        _pending: pending,
                    });
                }
            }
        }
    }

    fn another(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sessions: Arc::clone(&self.sessions),
            open: None,
            pending: None,
        }
    }

    fn origin(&self) -> Option<Origin<'_>> {
        Some(Origin {
            host: &self.shared.target.host,
            port: self.shared.target.port,
            secure: self.shared.target.tls,
        })
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        let shared = self.shared.towards(to)?;
        self.close(Use::Closed);
        self.shared = Arc::new(shared);
        self.sessions = Arc::default();
        Ok(())
    }

    fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    fn peer(&self) -> Peer {
        let open = self.open.as_ref();
        open.map_or_else(Peer::default, |open| open.wire.peer())
    }
}

impl Pending {
    /// Bytes of the answer that are here.
    fn received(&self) -> usize {
        self.head + self.body.len()
    }

    /// The answer. Dropped and called again it goes on where it was.
    async fn receive(&mut self, open: &Open, shared: &Shared) -> Result<Answer, FailureKind> {
        let limits = &shared.limits;
        let failed = |error: reqwest::Error, received| {
            failure::kind(&error, open.at(&shared.carrier, received), limits)
        };
        if let Stage::Waiting(sending) = &mut self.stage {
            let came = sending.await;
            self.stage = Stage::Early(Box::new(came));
        }
        if matches!(self.stage, Stage::Early(_)) {
            // The future that takes its place is never polled.
            let nothing: Sending = Box::pin(std::future::pending());
            let stage = std::mem::replace(&mut self.stage, Stage::Waiting(nothing));
            let Stage::Early(came) = stage else {
                return Err(FailureKind::ClosedWithoutAnswer);
            };
            let response = (*came).map_err(|error| failed(error, 0))?;
            self.head = head_length(&response);
            if self.head > limits.head {
                return Err(FailureKind::TooLarge {
                    what: "the head of the answer",
                    limit: limits.head,
                });
            }
            self.stage = Stage::Reading(Box::new(response));
        }
        let received = self.head;
        let Stage::Reading(response) = &mut self.stage else {
            return Err(FailureKind::ClosedWithoutAnswer);
        };
        let framing = Framing::of(response, self.is_options);
        let limit = limits.body as u64;
        if response
            .content_length()
            .is_some_and(|length| length > limit)
        {
            return Err(too_large(limits));
        }
        loop {
            let body = &mut self.body;
            let chunk = match framing {
                Framing::Nothing => None,
                _ => {
                    let chunk = response.chunk().await;
                    chunk.map_err(|error| failed(error, received + body.len()))?
                }
            };
            let Some(chunk) = chunk else { break };
            if body.len() + chunk.len() > limits.body {
                return Err(too_large(limits));
            }
            body.extend_from_slice(&chunk);
        }
        let timing = Timing::since(self.sent);
        finish(
            response,
            std::mem::take(&mut self.body),
            framing,
            timing,
            limits,
        )
    }
}
