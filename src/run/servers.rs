//! The servers of a run: devices are dealt out to them in turn, by number, so that the same device
//! meets the same server in every run.

use super::{MockProcess, RunError};
use crate::scenario::{Needs, Plan, TargetPlan};
use std::net::IpAddr;
use std::sync::Arc;

use crate::transport::{
    Lean, LeanFactory, Limits, Network, PortUses, Target, TlsOptions, check_sources,
};

pub(super) struct Servers {
    servers: Vec<(Target, LeanFactory<Network>)>,
    sources: Vec<IpAddr>,
    uses: Arc<PortUses>,
}

impl Servers {
    /// Those that the plan names, or those of the mock that was started for it.
    pub(super) fn of(plan: &Plan, mock: Option<&MockProcess>) -> Result<Self, RunError> {
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
        for url in urls {
            let wrong = |problem: String| RunError::Target(problem);
            let target = Target::parse(&url).map_err(|error| wrong(error.to_string()))?;
            let network =
                Network::new(target.clone(), &tls).map_err(|error| wrong(error.to_string()))?;
            let network = network.with_sources(&sources, stride);
            let factory = Lean::factory(network, silent, Limits::default(), Arc::clone(&uses));
            servers.push((target, factory));
        }
        if servers.is_empty() {
            return Err(RunError::Target("the plan names no server".to_owned()));
        }
        Ok(Self {
            servers,
            sources,
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
}
