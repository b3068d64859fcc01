//! OpenMetrics during the run, for whoever watches it with Prometheus. Read only.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::header;
use axum::response::IntoResponse as _;
use axum::routing::get;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use verdict::timeline::Interval;

/// What the last second said, and all seconds together.
#[derive(Debug, Default)]
struct Snapshot {
    phase: String,
    events: BTreeMap<String, u64>,
    levels: BTreeMap<String, f64>,
    /// p50, p95, p99 of the last second that had samples, in seconds.
    latencies: BTreeMap<String, [f64; 3]>,
    samples: BTreeMap<String, u64>,
}

/// The endpoint; ends when it is dropped.
#[derive(Debug)]
pub(super) struct MetricsEndpoint {
    snapshot: Arc<Mutex<Snapshot>>,
    task: JoinHandle<()>,
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl MetricsEndpoint {
    /// Serves `/metrics` on that address; gives the address in force, for port 0.
    pub(super) async fn bind(address: SocketAddr) -> std::io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        let snapshot = Arc::new(Mutex::new(Snapshot::default()));
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Figures(Arc::clone(&snapshot))));
        let registry = Arc::new(registry);
        let metrics = move || {
            let registry = Arc::clone(&registry);
            async move {
                let mut text = String::new();
                // Writing to a string cannot fail.
                let _ = encode(&mut text, &registry);
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
        };
        let router = axum::Router::new().route("/metrics", get(metrics));
        let task = tokio::spawn(async move {
            // Ends with the run; an error of accepting ends the figures and not the run.
            let _ = axum::serve(listener, router).await;
        });
        Ok((Self { snapshot, task }, bound))
    }

    /// Takes a second in.
    pub(super) fn push(&self, interval: &Interval) {
        let mut snapshot = self.snapshot.lock();
        snapshot.phase.clone_from(&interval.phase);
        for (name, count) in &interval.counts {
            *snapshot.events.entry(name.clone()).or_default() += count;
        }
        snapshot.levels.clone_from(&interval.gauges);
        for (name, latency) in &interval.latencies {
            let seconds = [latency.p50, latency.p95, latency.p99].map(|us| us as f64 / 1e6);
            snapshot.latencies.insert(name.clone(), seconds);
            *snapshot.samples.entry(name.clone()).or_default() += latency.count;
        }
    }
}

#[derive(Debug)]
struct Figures(Arc<Mutex<Snapshot>>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let snapshot = self.0.lock();
        let mut gauges = encoder.encode_descriptor(
            "easload_phase",
            "1 for the phase that is being played",
            None,
            MetricType::Gauge,
        )?;
        if !snapshot.phase.is_empty() {
            let labels = [("phase", snapshot.phase.as_str())];
            gauges.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        let mut events = encoder.encode_descriptor(
            "easload_events",
            "Events since the run began, by name",
            None,
            MetricType::Counter,
        )?;
        for (name, count) in &snapshot.events {
            let labels = [("event", name.as_str())];
            let mut one = events.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        let mut levels = encoder.encode_descriptor(
            "easload_level",
            "Values at the end of the last second, by name",
            None,
            MetricType::Gauge,
        )?;
        for (name, value) in &snapshot.levels {
            let labels = [("name", name.as_str())];
            levels.encode_family(&labels)?.encode_gauge(value)?;
        }
        let mut latencies = encoder.encode_descriptor(
            "easload_latency_seconds",
            "Quantiles of the last second that had samples",
            None,
            MetricType::Gauge,
        )?;
        for (name, values) in &snapshot.latencies {
            for (quantile, value) in ["0.5", "0.95", "0.99"].into_iter().zip(values) {
                let labels = [("metric", name.as_str()), ("quantile", quantile)];
                latencies.encode_family(&labels)?.encode_gauge(value)?;
            }
        }
        let mut samples = encoder.encode_descriptor(
            "easload_latency_samples",
            "Samples since the run began",
            None,
            MetricType::Counter,
        )?;
        for (name, count) in &snapshot.samples {
            let labels = [("metric", name.as_str())];
            let mut one = samples.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(count, None)?;
        }
        Ok(())
    }
}
