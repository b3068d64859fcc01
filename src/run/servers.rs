//! The servers of a run: devices are dealt out to them by number, so that the same device meets the
//! same server in every run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use client::device::device_random;
use client::transport::{
    Carrier, Deal, Ends, LeanFactory, LinkSpeed, Network, PortUses, Redirects, ReqwestFactory,
    check_sources,
};
use rand::Rng as _;
use scenario::{Detour, Dns, Needs, Plan, Target, TargetPlan, TlsOptions, TransportKind};

use super::accounts::certificates;
use super::carriers::{AnyFactory, AnyTransport, MakeTransport, Parts, transport_of};
use super::proxy::carrier_of;
use super::world::{System, World};
use super::{RunError, RunningMock};

pub(super) struct Servers<F> {
    servers: Vec<(Target, F)>,
    deal: Arc<Deal>,
    sources: Vec<IpAddr>,
    /// Devices of the plan; numbers from here on are senders'.
    devices: u32,
    /// By server and user, where users show certificates.
    presenting: HashMap<(usize, usize), F>,
    users: usize,
    detour: Detour,
    uses: Arc<PortUses>,
}

impl Servers<AnyFactory> {
    /// The servers of a plan over the transport that it names.
    pub(super) fn of_plan(
        plan: &Plan,
        mock: Option<&RunningMock>,
        seed: u64,
    ) -> Result<Self, RunError> {
        Ok(match transport_of(plan) {
            TransportKind::Lean => {
                Servers::of(&System::<LeanFactory<Network>>::new(), plan, mock, seed)?
                    .map(AnyFactory::Lean)
            }
            TransportKind::Reqwest => {
                Servers::of(&System::<ReqwestFactory>::new(), plan, mock, seed)?
                    .map(AnyFactory::Reqwest)
            }
        })
    }
}

/// Number of a transport that is no device's and no sender's.
const NOBODY: u32 = u32::MAX;

impl<F> Servers<F> {
    /// What makes the transports of that device.
    fn factory(&self, device: usize) -> &F {
        let server = self.deal.server_of(device as u32);
        let user = device % self.users;
        match self.presenting.get(&(server, user)) {
            Some(factory) => factory,
            None => &self.servers[server].1,
        }
    }

    /// Finds source addresses that cannot be used.
    pub(super) async fn check_sources(&self) -> Result<(), RunError> {
        for target in self.dialled() {
            let checked = check_sources(&target, &self.sources).await;
            checked.map_err(|error| RunError::Target(error.to_string()))?;
        }
        Ok(())
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.servers.iter().map(|(target, _)| target)
    }

    /// The hosts and ports that TCP connects to.
    pub(super) fn dialled(&self) -> impl Iterator<Item = Target> {
        self.targets().map(|target| match &self.detour.connect_to {
            Some((host, port)) => Target {
                host: host.clone(),
                port: *port,
                ..target.clone()
            },
            None => target.clone(),
        })
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

    pub(super) fn map<G>(self, change: impl Fn(F) -> G) -> Servers<G> {
        let servers = self.servers.into_iter();
        let presenting = self.presenting.into_iter();
        Servers {
            servers: servers
                .map(|(target, factory)| (target, change(factory)))
                .collect(),
            deal: self.deal,
            sources: self.sources,
            devices: self.devices,
            presenting: presenting
                .map(|(key, factory)| (key, change(factory)))
                .collect(),
            users: self.users,
            detour: self.detour,
            uses: self.uses,
        }
    }
}

impl Servers<AnyFactory> {
    /// A transport to the server of the first device.
    pub(super) fn first(&self) -> AnyTransport {
        self.factory(0).make()
    }
}

impl<F: MakeTransport> Servers<F> {
    /// Those that the plan names, or those of the mock that was started for it.
    pub(super) fn of<W: World<Factory = F>>(
        world: &W,
        plan: &Plan,
        mock: Option<&RunningMock>,
        seed: u64,
    ) -> Result<Self, RunError> {
        let way = Way::of(plan, mock)?;
        let sources = plan.devices.sources();
        let uses = Arc::new(PortUses::new(&sources));
        let wrong = RunError::Target;
        let targets: Result<Vec<Target>, _> =
            way.urls.iter().map(|url| Target::parse(url)).collect();
        let targets = targets.map_err(|error| wrong(error.to_string()))?;
        // The servers of a run may send devices to each other.
        let own = targets.iter().map(|target| target.host.clone());
        let redirects = Redirects::to(way.hosts.into_iter().chain(own).collect());
        let deal = match way.weights.as_slice() {
            [] => Deal::even(targets.len()),
            weights => Deal::new(weights),
        };
        let deal = Arc::new(deal);
        let ends = Ends::new(&sources, Arc::clone(&deal), links(plan, seed).into());
        let mut servers = Vec::new();
        for (number, target) in targets.iter().enumerate() {
            // Pings given up in silence are spread as the devices are.
            let silent = (Needs::silent(plan) as f64 * deal.share_of(number)).ceil() as usize;
            let factory = world.factory(&Parts {
                target,
                tls: &way.tls,
                carrier: &way.carrier,
                silent,
                uses: &uses,
                sources: &sources,
                ends: &ends,
                is_spread: way.is_spread,
                detour: &way.detour,
                redirects: &redirects,
            });
            servers.push((target.clone(), factory.map_err(wrong)?));
        }
        if servers.is_empty() {
            return Err(RunError::Target("the plan names no server".to_owned()));
        }
        Ok(Self {
            presenting: presenting(plan, &servers, &deal)?,
            servers,
            deal,
            sources,
            devices: plan.devices.count,
            users: plan.devices.users as usize,
            detour: way.detour,
            uses,
        })
    }

    /// A transport to the server of that device.
    pub(super) fn transport(&self, device: usize) -> F::Transport {
        self.factory(device).make_for(device as u32)
    }

    /// For each server its URL, and a user with a transport there: those of its first device, which does
    /// not get the TLS session that this leaves.
    pub(super) fn one_each(&self) -> impl Iterator<Item = (String, usize, F::Transport)> {
        let servers = self.servers.iter().enumerate();
        servers.map(|(server, (target, _))| {
            let device = self.deal.first_of(server) as usize;
            let transport = self.factory(device).make_for(NOBODY);
            (target.url(), device % self.users, transport)
        })
    }

    /// A transport of the sender that belongs to that device's user. It has no link: mail comes from
    /// elsewhere.
    pub(super) fn sender(&self, device: usize) -> F::Transport {
        self.factory(device).make_for(self.devices + device as u32)
    }
}

/// The way to the servers of a plan.
struct Way {
    urls: Vec<String>,
    tls: TlsOptions,
    carrier: Carrier,
    detour: Detour,
    /// Of the servers; alike where there are none.
    weights: Vec<u32>,
    is_spread: bool,
    /// Where else a server may send devices.
    hosts: Vec<String>,
}

impl Way {
    fn of(plan: &Plan, mock: Option<&RunningMock>) -> Result<Self, RunError> {
        Ok(match &plan.target {
            TargetPlan::Server {
                urls,
                ca_file,
                insecure,
                carrier,
                entry,
            } => Self {
                urls: urls.clone(),
                tls: plan.devices.tls(ca_file.clone(), *insecure),
                carrier: carrier_of(carrier)?,
                detour: entry.detour.clone(),
                weights: entry.weights.clone(),
                is_spread: entry.dns == Dns::Spread,
                hosts: entry.redirect_to.clone(),
            },
            TargetPlan::Mock(_) => {
                let servers = mock.iter().flat_map(|mock| &mock.addresses().servers);
                Self {
                    urls: servers.map(|server| server.url.clone()).collect(),
                    tls: plan.devices.tls(mock.and_then(RunningMock::ca_file), false),
                    carrier: Carrier::default(),
                    detour: Detour::default(),
                    weights: Vec::new(),
                    is_spread: false,
                    hosts: Vec::new(),
                }
            }
        })
    }
}

/// Factories by server and user, where users show certificates.
fn presenting<F: MakeTransport>(
    plan: &Plan,
    servers: &[(Target, F)],
    deal: &Deal,
) -> Result<HashMap<(usize, usize), F>, RunError> {
    let users = plan.devices.users as usize;
    let certificates = certificates(plan)?;
    let mut presenting = HashMap::new();
    if certificates.is_empty() {
        return Ok(presenting);
    }
    // Every server is asked once before the load, by the first devices or those that would follow.
    let firsts = (0..servers.len()).map(|server| deal.first_of(server));
    for device in (0..plan.devices.count).chain(firsts) {
        let key = (deal.server_of(device), device as usize % users);
        if let Entry::Vacant(free) = presenting.entry(key) {
            let made = servers[key.0].1.presenting(&certificates[key.1]);
            free.insert(made.map_err(RunError::Target)?);
        }
    }
    Ok(presenting)
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
