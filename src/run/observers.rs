//! All observers of a run, read once a second.

use std::net::IpAddr;
use std::sync::Arc;

use figures::Scope;
use scenario::names::{DeviceState, Gauges};
use scenario::{Plan, SourcePlan};
use tokio::time::Instant;
use verdict::report::SourceReport;

use super::world::{Probe, World};
use super::{RunningMock, Servers};
use crate::measure::Recorder;
use crate::observe::{Census, Estimator, SocketGroups, SocketTable, Sources};

pub(super) struct Observers {
    sockets: Arc<SocketTable>,
    sources: Sources,
    is_simulated: bool,
    harness: Probe,
    estimator: Estimator,
    recorder: Arc<Recorder>,
}

impl Observers {
    pub(super) fn start<F>(
        world: &impl World,
        plan: &Plan,
        servers: &Servers<F>,
        mock: Option<&RunningMock>,
        recorder: &Arc<Recorder>,
    ) -> Self {
        let mocks = mock.map(|mock| mock.addresses().servers.as_slice());
        let groups: Vec<SocketGroups> = servers
            .dialled()
            .enumerate()
            .flat_map(|(index, target)| {
                let address: Option<IpAddr> = target.host.parse().ok();
                let server_is_local = target.host == "localhost"
                    || address.is_some_and(|address| address.is_loopback());
                let back_end = mocks
                    .and_then(|mocks| mocks.get(index))
                    .map(|server| server.back_end.port());
                // A name may have addresses of both families.
                let families: &[bool] = match address {
                    Some(address) => &[address.is_ipv6()],
                    None => &[false, true],
                };
                let families = families.iter().map(move |ipv6| SocketGroups {
                    target: target.port,
                    server_is_local,
                    back_end,
                    ipv6: *ipv6,
                });
                families.collect::<Vec<_>>()
            })
            .collect();
        let of_mock = mocks.unwrap_or_default().iter().enumerate();
        let mut sources: Vec<SourcePlan> = of_mock
            .map(|(index, server)| {
                let name = format!("server {}", index + 1);
                SourcePlan::exporter(name, server.metrics.clone())
            })
            .collect();
        sources.extend(plan.observe.sources.iter().cloned());
        let scope = Scope {
            pool: plan.observe.pool.clone(),
            client_port: groups.first().map_or(0, |group| group.target),
            back_end_port: plan.observe.back_end_port,
        };
        let census = Arc::clone(recorder);
        Self {
            sockets: Arc::new(SocketTable::new(world.machine(), groups, servers.uses())),
            sources: Sources::start(
                &sources,
                &scope,
                Arc::new(move || census.really_open()),
                mock.map(RunningMock::control),
            ),
            is_simulated: world.is_simulated(),
            harness: world.probe(),
            estimator: Estimator::new(plan.observe.requests_per_ping),
            recorder: Arc::clone(recorder),
        }
    }

    /// All gauges now.
    pub(super) async fn sample(&mut self, due: Instant) -> Gauges {
        let mut gauges = self.harness.sample(due);
        let sockets = Arc::clone(&self.sockets);
        // A simulated table takes no time, and a simulation has one thread.
        let table = if self.is_simulated {
            Ok(sockets.sample())
        } else {
            tokio::task::spawn_blocking(move || sockets.sample()).await
        };
        let (figures, open) = self.sources.sample();
        // Sources come second: where the server is on this machine, both know its sockets.
        gauges.extend(figures);
        gauges.extend(table.unwrap_or_default());
        let now = self.recorder.really_open() as f64;
        let census = Census {
            open: open.unwrap_or((now, now)),
            held: (self.recorder.devices_in(DeviceState::Holding) + self.recorder.second_pings())
                as f64,
            given_up: self.recorder.given_up() as f64,
        };
        gauges.insert("devices.given_up".to_owned(), census.given_up);
        if let Some(estimate) = self.estimator.estimate(&gauges, &census) {
            estimate.add_to(&mut gauges);
        }
        gauges
    }

    /// Stops reading the sources: the run is over, and its servers may end.
    pub(super) async fn stop(&mut self) {
        self.sources.stop().await;
    }

    /// What each source did.
    pub(super) fn reports(&self) -> Vec<SourceReport> {
        self.sources.reports()
    }

    /// What the estimate of stranded requests rests on.
    pub(super) fn basis(&self) -> String {
        self.estimator.to_string()
    }
}
