//! The servers of a run: devices are dealt out to them in turn, by number, so that the same device
//! meets the same server in every run.

use super::accounts::certificates;
use super::{MockProcess, RunError};
use crate::scenario::{Needs, Plan, TargetPlan};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::transport::{
    Detour, Lean, LeanFactory, Limits, Network, PortUses, Redirects, Target, TlsOptions,
};

pub(super) struct Servers {
    servers: Vec<(Target, LeanFactory<Network>)>,
    uses: Arc<PortUses>,
    /// By server and user, where users show certificates.
    presenting: HashMap<(usize, usize), LeanFactory<Network>>,
    users: usize,
    detour: Detour,
}

impl Servers {
    /// Those that the plan names, or those of the mock that was started for it.
    pub(super) fn of(plan: &Plan, mock: Option<&MockProcess>) -> Result<Self, RunError> {
        let detour = match &plan.target {
            TargetPlan::Server { entry, .. } => entry.detour.clone(),
            TargetPlan::Mock(_) => Detour::default(),
        };
        let (urls, tls, mut hosts) = match &plan.target {
            TargetPlan::Server {
                urls,
                ca_file,
                insecure,
                entry,
            } => (
                urls.clone(),
                TlsOptions {
                    ca_file: ca_file.clone(),
                    insecure: *insecure,
                },
                entry.redirect_to.clone(),
            ),
            TargetPlan::Mock(_) => {
                let servers = mock.iter().flat_map(|mock| &mock.addresses().servers);
                (
                    servers.map(|server| server.url.clone()).collect(),
                    TlsOptions {
                        ca_file: mock.and_then(MockProcess::ca_file),
                        insecure: false,
                    },
                    Vec::new(),
                )
            }
        };
        // Pings given up in silence are spread as the devices are.
        let silent = (Needs::silent(plan) as usize).div_ceil(urls.len().max(1));
        let mut servers = Vec::new();
        let uses = Arc::new(PortUses::default());
        let wrong = |problem: String| RunError::Target(problem);
        let targets: Result<Vec<Target>, _> = urls.iter().map(|url| Target::parse(url)).collect();
        let targets = targets.map_err(|error| wrong(error.to_string()))?;
        // The servers of a run may send devices to each other.
        hosts.extend(targets.iter().map(|target| target.host.clone()));
        let redirects = Redirects::to(hosts);
        for target in targets {
            let network =
                Network::new(target.clone(), &tls).and_then(|network| network.via(detour.clone()));
            let network = network.map_err(|error| wrong(error.to_string()))?;
            let factory = Lean::factory_to(
                network,
                silent,
                Limits::default(),
                Arc::clone(&uses),
                redirects.clone(),
            );
            servers.push((target, factory));
        }
        if servers.is_empty() {
            return Err(RunError::Target("the plan names no server".to_owned()));
        }
        let users = plan.devices.users as usize;
        let certificates = certificates(plan)?;
        let mut presenting = HashMap::new();
        if !certificates.is_empty() {
            for device in 0..plan.devices.count as usize {
                let key = (device % servers.len(), device % users);
                if let Entry::Vacant(free) = presenting.entry(key) {
                    let made = servers[key.0].1.presenting(&certificates[key.1]);
                    free.insert(made.map_err(|error| wrong(error.to_string()))?);
                }
            }
        }
        Ok(Self {
            servers,
            uses,
            presenting,
            users,
            detour,
        })
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

    /// A transport to the server of that device.
    pub(super) fn transport(&self, device: usize) -> Lean<Network> {
        let (server, user) = (device % self.servers.len(), device % self.users);
        match self.presenting.get(&(server, user)) {
            Some(factory) => factory.make(),
            None => self.servers[server].1.make(),
        }
    }
}
