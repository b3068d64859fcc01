//! What carries the requests of a run: which transport, fixed when the run begins, and how its
//! factories are made.

use std::net::IpAddr;
use std::sync::Arc;

use client::transport::{
    Abandon, Answer, Begun, Carrier, Ends, Failure, Lean, LeanFactory, Network, Origin, Peer,
    PortUses, RedirectError, Redirects, Request, Reqwest, ReqwestFactory, SimulatedNetwork,
    Transport,
};
use scenario::{ClientCertificate, Detour, Plan, Target, TargetPlan, TlsOptions, TransportKind};

/// What a factory of transports to one server is made of.
pub(super) struct Parts<'a> {
    pub(super) target: &'a Target,
    pub(super) tls: &'a TlsOptions,
    pub(super) carrier: &'a Carrier,
    pub(super) silent: usize,
    pub(super) uses: &'a Arc<PortUses>,
    /// Addresses of this machine, if the plan names some.
    pub(super) sources: &'a [IpAddr],
    /// Where connections begin.
    pub(super) ends: &'a Ends,
    /// To all addresses of a name.
    pub(super) is_spread: bool,
    /// Another way to the server.
    pub(super) detour: &'a Detour,
    /// Where a server may send devices.
    pub(super) redirects: &'a Redirects,
}

/// Makes the transports of a run. Which kind is fixed when the run begins: a device that could have
/// either would hold room for the larger.
pub(super) trait MakeTransport: Send + Sync + Sized + 'static {
    /// What it makes.
    type Transport: Transport + 'static;

    /// A factory of the same transports that show a client's certificate; says what is wrong with it.
    fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, String>;

    /// The transport of the device of that number, without a connection.
    fn make_for(&self, device: u32) -> Self::Transport;
}

impl MakeTransport for LeanFactory<Network> {
    type Transport = Lean<Network>;

    fn presenting(&self, certificate: &ClientCertificate) -> Result<Self, String> {
        Self::presenting(self, certificate).map_err(|error| error.to_string())
    }

    fn make_for(&self, device: u32) -> Self::Transport {
        Self::make_for(self, device)
    }
}

impl MakeTransport for ReqwestFactory {
    type Transport = Reqwest;

    fn presenting(&self, _: &ClientCertificate) -> Result<Self, String> {
        Err("client certificates need transport = \"lean\"".to_owned())
    }

    fn make_for(&self, _: u32) -> Self::Transport {
        self.make()
    }
}

impl MakeTransport for LeanFactory<SimulatedNetwork> {
    type Transport = Lean<SimulatedNetwork>;

    fn presenting(&self, _: &ClientCertificate) -> Result<Self, String> {
        Err("a simulated network has no TLS, so no client shows a certificate".to_owned())
    }

    fn make_for(&self, device: u32) -> Self::Transport {
        Self::make_for(self, device)
    }
}

/// Either, chosen by the plan: for one device, where room does not matter.
pub(super) enum AnyFactory {
    Lean(LeanFactory<Network>),
    Reqwest(ReqwestFactory),
}

impl AnyFactory {
    pub(super) fn make(&self) -> AnyTransport {
        match self {
            Self::Lean(factory) => AnyTransport::Lean(factory.make()),
            Self::Reqwest(factory) => AnyTransport::Reqwest(factory.make()),
        }
    }
}

/// Either transport.
pub enum AnyTransport {
    /// The lean one.
    Lean(Lean<Network>),
    /// reqwest.
    Reqwest(Reqwest),
}

impl Transport for AnyTransport {
    async fn begin(&mut self, request: Request<'_>) -> Result<Begun, Failure> {
        match self {
            Self::Lean(inner) => inner.begin(request).await,
            Self::Reqwest(inner) => inner.begin(request).await,
        }
    }

    async fn answer(&mut self, deadline: tokio::time::Instant) -> Result<Answer, Failure> {
        match self {
            Self::Lean(inner) => inner.answer(deadline).await,
            Self::Reqwest(inner) => inner.answer(deadline).await,
        }
    }

    fn abandon(&mut self, how: Abandon) {
        match self {
            Self::Lean(inner) => inner.abandon(how),
            Self::Reqwest(inner) => inner.abandon(how),
        }
    }

    fn another(&self) -> Self {
        match self {
            Self::Lean(inner) => Self::Lean(inner.another()),
            Self::Reqwest(inner) => Self::Reqwest(inner.another()),
        }
    }

    fn is_connected(&self) -> bool {
        match self {
            Self::Lean(inner) => inner.is_connected(),
            Self::Reqwest(inner) => inner.is_connected(),
        }
    }

    fn origin(&self) -> Option<Origin<'_>> {
        match self {
            Self::Lean(inner) => inner.origin(),
            Self::Reqwest(inner) => inner.origin(),
        }
    }

    fn peer(&self) -> Peer {
        match self {
            Self::Lean(inner) => inner.peer(),
            Self::Reqwest(inner) => inner.peer(),
        }
    }

    fn redirect(&mut self, to: &Target) -> Result<(), RedirectError> {
        match self {
            Self::Lean(inner) => inner.redirect(to),
            Self::Reqwest(inner) => inner.redirect(to),
        }
    }
}

/// The transport that a plan names.
pub(super) fn transport_of(plan: &Plan) -> TransportKind {
    match &plan.target {
        TargetPlan::Server { carrier, .. } => carrier.transport,
        TargetPlan::Mock(_) => TransportKind::Lean,
    }
}
