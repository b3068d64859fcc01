//! The servers of a run: devices are dealt out to them in turn, by number, so that the same device
//! meets the same server in every run.

use std::net::IpAddr;
use std::sync::Arc;

use rand::Rng as _;

use super::{MockProcess, RunError};
use crate::device::device_random;
use crate::scenario::{
    CarrierPlan, Needs, Plan, ProxyLoginPlan, ProxyPlan, TargetPlan, TransportKind,
};
use crate::transport::{
    Abandon, Answer, Begun, Carrier, Failure, Lean, LeanFactory, Limits, LinkSpeed, Network,
    PortUses, Proxy, ProxyLogin, Request, Reqwest, ReqwestFactory, Target, TlsOptions, Transport,
    check_sources,
};

/// What a factory of transports to one server is made of.
pub(super) struct Parts<'a> {
    target: &'a Target,
    tls: &'a TlsOptions,
    carrier: &'a Carrier,
    silent: usize,
    uses: &'a Arc<PortUses>,
    sources: &'a [IpAddr],
    /// Devices are dealt out to servers first, and to addresses then.
    stride: u32,
    links: &'a Arc<[Option<LinkSpeed>]>,
}

/// Makes the transports of a run. Which kind is fixed when the run begins: a device that could have
/// either would hold room for the larger.
pub(super) trait MakeTransport: Send + Sync + Sized + 'static {
    /// What it makes.
    type Transport: Transport + 'static;

    /// A factory for one server; says what is wrong with its options.
    fn of(parts: &Parts<'_>) -> Result<Self, String>;

    /// The transport of the device of that number, without a connection.
    fn make_for(&self, device: u32) -> Self::Transport;
}

impl MakeTransport for LeanFactory<Network> {
    type Transport = Lean<Network>;

    fn of(parts: &Parts<'_>) -> Result<Self, String> {
        let network = Network::new(parts.target.clone(), parts.tls);
        let network = network.map_err(|error| error.to_string())?;
        Ok(Lean::factory(
            network
                .with_sources(parts.sources, parts.stride)
                .with_links(Arc::clone(parts.links)),
            parts.silent,
            Limits::default(),
            Arc::clone(parts.uses),
        ))
    }

    fn make_for(&self, device: u32) -> Self::Transport {
        Self::make_for(self, device)
    }
}

impl MakeTransport for ReqwestFactory {
    type Transport = Reqwest;

    fn of(parts: &Parts<'_>) -> Result<Self, String> {
        Reqwest::factory(
            parts.target,
            parts.tls,
            parts.carrier.clone(),
            parts.silent,
            Limits::default(),
            Arc::clone(parts.uses),
        )
        .map_err(|error| error.to_string())
    }

    fn make_for(&self, _: u32) -> Self::Transport {
        self.make()
    }
}

/// Either, chosen by the plan: for one device, where room does not matter.
pub(super) enum AnyFactory {
    Lean(LeanFactory<Network>),
    Reqwest(ReqwestFactory),
}

impl AnyFactory {
    /// The servers of a plan over the transport that it names.
    pub(super) fn servers(
        plan: &Plan,
        mock: Option<&MockProcess>,
        seed: u64,
    ) -> Result<Servers<Self>, RunError> {
        Ok(match transport_of(plan) {
            TransportKind::Lean => {
                Servers::<LeanFactory<Network>>::of(plan, mock, seed)?.map(Self::Lean)
            }
            TransportKind::Reqwest => {
                Servers::<ReqwestFactory>::of(plan, mock, seed)?.map(Self::Reqwest)
            }
        })
    }

    fn make(&self) -> AnyTransport {
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
}

/// The transport that a plan names.
pub(super) fn transport_of(plan: &Plan) -> TransportKind {
    match &plan.target {
        TargetPlan::Server { carrier, .. } => carrier.transport,
        TargetPlan::Mock(_) => TransportKind::Lean,
    }
}

pub(super) struct Servers<F> {
    servers: Vec<(Target, F)>,
    sources: Vec<IpAddr>,
    /// Devices of the plan; numbers from here on are senders'.
    devices: u32,
    uses: Arc<PortUses>,
}

impl<F> Servers<F> {
    /// Finds source addresses that cannot be used.
    pub(super) async fn check_sources(&self) -> Result<(), RunError> {
        for target in self.targets() {
            let checked = check_sources(target, &self.sources).await;
            checked.map_err(|error| RunError::Target(error.to_string()))?;
        }
        Ok(())
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.servers.iter().map(|(target, _)| target)
    }

    /// What the devices' connections are used for.
    pub(super) fn uses(&self) -> Arc<PortUses> {
        Arc::clone(&self.uses)
    }

    pub(super) fn urls(&self) -> Vec<String> {
        self.targets().map(Target::url).collect()
    }

    /// Path of the EAS virtual directory, the same on all servers.
    pub(super) fn path(&self) -> &str {
        &self.servers[0].0.path
    }

    fn map<G>(self, change: impl Fn(F) -> G) -> Servers<G> {
        let servers = self.servers.into_iter();
        Servers {
            servers: servers
                .map(|(target, factory)| (target, change(factory)))
                .collect(),
            sources: self.sources,
            devices: self.devices,
            uses: self.uses,
        }
    }
}

impl Servers<AnyFactory> {
    /// A transport to the server of the first device.
    pub(super) fn first(&self) -> AnyTransport {
        self.servers[0].1.make()
    }
}

impl<F: MakeTransport> Servers<F> {
    /// Those that the plan names, or those of the mock that was started for it.
    pub(super) fn of(plan: &Plan, mock: Option<&MockProcess>, seed: u64) -> Result<Self, RunError> {
        let (urls, tls, carrier) = match &plan.target {
            TargetPlan::Server {
                urls,
                ca_file,
                insecure,
                carrier,
            } => (
                urls.clone(),
                TlsOptions {
                    ca_file: ca_file.clone(),
                    insecure: *insecure,
                },
                carrier_of(carrier)?,
            ),
            TargetPlan::Mock(_) => {
                let servers = mock.iter().flat_map(|mock| &mock.addresses().servers);
                (
                    servers.map(|server| server.url.clone()).collect(),
                    TlsOptions {
                        ca_file: mock.and_then(MockProcess::ca_file),
                        insecure: false,
                    },
                    Carrier::default(),
                )
            }
        };
        // Pings given up in silence are spread as the devices are.
        let silent = (Needs::silent(plan) as usize).div_ceil(urls.len().max(1));
        let mut servers = Vec::new();
        let sources = plan.devices.sources();
        let uses = Arc::new(PortUses::new(&sources));
        let stride = urls.len() as u32;
        let links: Arc<[Option<LinkSpeed>]> = links(plan, seed).into();
        for url in urls {
            let target =
                Target::parse(&url).map_err(|error| RunError::Target(error.to_string()))?;
            let parts = Parts {
                target: &target,
                tls: &tls,
                carrier: &carrier,
                silent,
                uses: &uses,
                sources: &sources,
                stride,
                links: &links,
            };
            let factory = F::of(&parts).map_err(RunError::Target)?;
            servers.push((target, factory));
        }
        if servers.is_empty() {
            return Err(RunError::Target("the plan names no server".to_owned()));
        }
        Ok(Self {
            servers,
            sources,
            devices: plan.devices.count,
            uses,
        })
    }

    /// A transport to the server of that device.
    pub(super) fn transport(&self, device: usize) -> F::Transport {
        let (_, factory) = &self.servers[device % self.servers.len()];
        factory.make_for(device as u32)
    }

    /// A transport of the sender that belongs to that device's user. It has no link: mail comes from
    /// elsewhere.
    pub(super) fn sender(&self, device: usize) -> F::Transport {
        let (_, factory) = &self.servers[device % self.servers.len()];
        factory.make_for(self.devices + device as u32)
    }
}

/// The plan's way to a server, with the proxy's password.
fn carrier_of(plan: &CarrierPlan) -> Result<Carrier, RunError> {
    Ok(Carrier {
        proxy: plan.proxy.as_ref().map(proxy_of).transpose()?,
        http2: plan.http2,
    })
}

fn proxy_of(plan: &ProxyPlan) -> Result<Proxy, RunError> {
    Ok(Proxy {
        url: plan.url.clone(),
        login: plan.login.as_ref().map(login_of).transpose()?,
    })
}

fn login_of(plan: &ProxyLoginPlan) -> Result<ProxyLogin, RunError> {
    let password = std::env::var(&plan.password_env).map_err(|_| {
        RunError::Target(format!(
            "the environment variable {}, named by proxy_password_env, is not set",
            plan.password_env
        ))
    })?;
    Ok(ProxyLogin {
        user: plan.user.clone(),
        password,
    })
}

/// The link of each device, drawn once; none at all where no kind has any.
fn links(plan: &Plan, seed: u64) -> Vec<Option<LinkSpeed>> {
    /// Any fixed number: the same source as the device's other chances, begun elsewhere.
    const APART: u64 = 0x6c69_6e6b;
    let devices = &plan.devices;
    if !devices.profiles.iter().any(|kind| kind.link.is_there()) {
        return Vec::new();
    }
    let link = |device: u32| {
        let link = devices.profiles[devices.profile_of(device)].link;
        let (from, to) = link.latency;
        let drawn: f64 = device_random(seed ^ APART, device).random();
        link.is_there().then(|| LinkSpeed {
            latency: from + to.saturating_sub(from).mul_f64(drawn),
            bandwidth: link.bandwidth,
        })
    };
    (0..devices.count).map(link).collect()
}
