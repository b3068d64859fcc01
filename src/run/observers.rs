//! All observers of a run, read once a second.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::MockProcess;
use crate::measure::Gauges;
use crate::observe::{HarnessProbe, MetricsSource, SocketGroups, SocketTable, sample_all};
use crate::report::say;
use crate::scenario::Plan;
use crate::transport::Target;

pub(super) struct Observers {
    sockets: Arc<SocketTable>,
    /// One for each server.
    metrics: Vec<MetricsSource>,
    harness: HarnessProbe,
    requests_per_ping: f64,
    /// The first failure of the metrics source, and how many there were.
    failed: Option<(String, u64)>,
}

impl Observers {
    pub(super) fn new<'a>(
        plan: &Plan,
        targets: impl Iterator<Item = &'a Target>,
        mock: Option<&MockProcess>,
    ) -> Self {
        let servers = mock.map(|mock| mock.addresses().servers.as_slice());
        let groups = targets.enumerate().map(|(index, target)| {
            let address: Option<IpAddr> = target.host.parse().ok();
            SocketGroups {
                target: target.port,
                server_is_local: target.host == "localhost"
                    || address.is_some_and(|address| address.is_loopback()),
                back_end: servers
                    .and_then(|servers| servers.get(index))
                    .map(|server| server.back_end.port()),
                ipv6: address.is_some_and(|address| address.is_ipv6()),
            }
        });
        let urls = match servers {
            Some(servers) => servers.iter().map(|one| one.metrics.clone()).collect(),
            None => plan.observe.metrics.clone(),
        };
        let mut failed = None;
        let mut metrics = Vec::new();
        for url in urls {
            match MetricsSource::new(url, plan.observe.pool.clone()) {
                Ok(source) => metrics.push(source),
                Err(error) => failed = Some((error.to_string(), 1)),
            }
        }
        // A sum without one of the servers would be wrong.
        if failed.is_some() {
            metrics.clear();
        }
        Self {
            sockets: Arc::new(SocketTable::new(groups)),
            metrics,
            harness: HarnessProbe::new(),
            requests_per_ping: plan.observe.requests_per_ping,
            failed,
        }
    }

    /// All gauges now. `really_open` is how many requests the devices have open.
    pub(super) async fn sample(&mut self, due: Instant, really_open: u64) -> Gauges {
        let mut gauges = self.harness.sample(due);
        let sockets = Arc::clone(&self.sockets);
        let table = tokio::task::spawn_blocking(move || sockets.sample());
        let (table, scrape) = tokio::join!(table, sample_all(&self.metrics));
        gauges.extend(table.unwrap_or_default());
        match scrape {
            Ok(server) => gauges.extend(server),
            Err(error) => {
                let (_, count) = self.failed.get_or_insert_with(|| {
                    say(&format!("the server's counters cannot be read: {error}"));
                    (error.to_string(), 0)
                });
                *count += 1;
            }
        }
        // What the server calls active and nobody has open. Both sides move between the two
        // readings, so it may be a little below zero.
        if let Some(active) = gauges.get("server.active_requests") {
            let stranded = active - self.requests_per_ping * really_open as f64;
            gauges.insert("stranded".to_owned(), stranded.max(0.0));
        }
        gauges
    }

    pub(super) fn problems(&self) -> Vec<String> {
        self.failed
            .iter()
            .map(|(text, count)| {
                format!("the server's counters could not be read {count} times: {text}")
            })
            .collect()
    }
}
