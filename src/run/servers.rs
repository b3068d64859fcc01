//! The servers of a run: devices are dealt out to them in turn, by number, so that the same device
//! meets the same server in every run.

use std::net::IpAddr;
use std::sync::Arc;

use rand::Rng as _;

use super::{MockProcess, RunError};
use crate::device::device_random;
use crate::scenario::{Needs, Plan, TargetPlan};

use crate::transport::{
    Lean, LeanFactory, Limits, LinkSpeed, Network, PortUses, Target, TlsOptions, check_sources,
};

pub(super) struct Servers {
    servers: Vec<(Target, LeanFactory<Network>)>,
    sources: Vec<IpAddr>,
    /// Devices of the plan; numbers from here on are senders'.
    devices: u32,
    uses: Arc<PortUses>,
}

impl Servers {
    /// Those that the plan names, or those of the mock that was started for it.
    pub(super) fn of(plan: &Plan, mock: Option<&MockProcess>, seed: u64) -> Result<Self, RunError> {
        let (urls, tls) = match &plan.target {
            TargetPlan::Server {
                urls,
                ca_file,
                insecure,
            } => (
                urls.clone(),
                TlsOptions {
                    ca_file: ca_file.clone(),
                    insecure: *insecure,
                },
            ),
            TargetPlan::Mock(_) => {
                let servers = mock.iter().flat_map(|mock| &mock.addresses().servers);
                (
                    servers.map(|server| server.url.clone()).collect(),
                    TlsOptions {
                        ca_file: mock.and_then(MockProcess::ca_file),
                        insecure: false,
                    },
                )
            }
        };
        // Pings given up in silence are spread as the devices are.
        let silent = (Needs::silent(plan) as usize).div_ceil(urls.len().max(1));
        let mut servers = Vec::new();
        let sources = plan.devices.sources();
        let uses = Arc::new(PortUses::new(&sources));
        // Devices are dealt out to servers first, and to addresses then.
        let stride = urls.len() as u32;
        let links: Arc<[Option<LinkSpeed>]> = links(plan, seed).into();
        for url in urls {
            let wrong = |problem: String| RunError::Target(problem);
            let target = Target::parse(&url).map_err(|error| wrong(error.to_string()))?;
            let network =
                Network::new(target.clone(), &tls).map_err(|error| wrong(error.to_string()))?;
            let network = network
                .with_sources(&sources, stride)
                .with_links(Arc::clone(&links));
            let factory = Lean::factory(network, silent, Limits::default(), Arc::clone(&uses));
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

    /// A transport to the server of that device.
    pub(super) fn transport(&self, device: usize) -> Lean<Network> {
        let (_, factory) = &self.servers[device % self.servers.len()];
        factory.make_for(device as u32)
    }

    /// A transport of the sender that belongs to that device's user. It has no link: mail comes from
    /// elsewhere.
    pub(super) fn sender(&self, device: usize) -> Lean<Network> {
        let (_, factory) = &self.servers[device % self.servers.len()];
        factory.make_for(self.devices + device as u32)
    }
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
