//! All observers of a run, read once a second.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::MockProcess;
use crate::measure::Gauges;
use crate::observe::{HarnessProbe, MetricsSource, SocketGroups, SocketTable};
use crate::report::say;
use crate::scenario::Plan;
use crate::transport::Target;

pub(super) struct Observers {
    sockets: Arc<SocketTable>,
    metrics: Option<MetricsSource>,
    harness: HarnessProbe,
    requests_per_ping: f64,
    /// The first failure of the metrics source, and how many there were.
    failed: Option<(String, u64)>,
}

impl Observers {
    pub(super) fn new(plan: &Plan, target: &Target, mock: Option<&MockProcess>) -> Self {
        let address: Option<IpAddr> = target.host.parse().ok();
        let is_local =
            target.host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let sockets = SocketTable::new(SocketGroups {
            target: target.port,
            server_is_local: is_local,
            back_end: mock.map(|mock| mock.addresses().back_end.port()),
            ipv6: address.is_some_and(|address| address.is_ipv6()),
        });
        let url = match mock {
            Some(mock) => Some(format!("{}/metrics", mock.addresses().control)),
            None => plan.observe.metrics.clone(),
        };
        let metrics = url.map(|url| MetricsSource::new(url, plan.observe.pool.clone()));
        let (metrics, failed) = match metrics {
            Some(Ok(source)) => (Some(source), None),
            Some(Err(error)) => (None, Some((error.to_string(), 1))),
            None => (None, None),
        };
        Self {
            sockets: Arc::new(sockets),
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
        let scrape = async {
            match &self.metrics {
                Some(source) => Some(source.sample().await),
                None => None,
            }
        };
        let (table, scrape) = tokio::join!(table, scrape);
        gauges.extend(table.unwrap_or_default());
        match scrape {
            Some(Ok(server)) => gauges.extend(server),
            Some(Err(error)) => {
                let (_, count) = self.failed.get_or_insert_with(|| {
                    say(&format!("the server's counters cannot be read: {error}"));
                    (error.to_string(), 0)
                });
                *count += 1;
            }
            None => {}
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
