//! `/metrics` with the names, labels and types of windows_exporter
//! (server-observability.md, section 1), including the odd ones: Active Requests is a counter
//! there though it falls.

use prometheus::{Encoder as _, Opts, Registry, TextEncoder};

use super::Shared;
use crate::control::WorkerTruth;

/// The pool of Exchange.
const POOL: &str = "MSExchangeSyncAppPool";

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// One series.
type Series<'a> = (Vec<(&'a str, &'a str)>, f64);

pub(super) fn render(shared: &Shared) -> prometheus::Result<String> {
    let truth = shared.truth();
    let registry = Registry::new();
    let app = [("app", POOL)];
    let pool = |value: f64| vec![(app.to_vec(), value)];
    let counter = |name: &str, value: u64| add(&registry, Kind::Counter, name, &pool(value as f64));
    counter(
        "windows_iis_total_application_pool_recycles",
        truth.recycles,
    )?;
    counter(
        "windows_iis_total_worker_processes_created",
        shared.pool.created(),
    )?;
    counter(
        "windows_iis_total_worker_process_shutdown_failures",
        truth.shutdown_failures,
    )?;
    counter("windows_iis_total_worker_process_failures", truth.failures)?;
    let workers = truth.workers.len() as f64;
    add(
        &registry,
        Kind::Gauge,
        "windows_iis_current_worker_processes",
        &pool(workers),
    )?;
    let site = |value: u64| vec![(vec![("site", POOL)], value as f64)];
    for (name, value) in [
        ("windows_iis_http_requests_current_queue_size", truth.queued),
        (
            "windows_iis_http_request_total_rejected_request",
            truth.rejected,
        ),
    ] {
        add(&registry, Kind::Gauge, name, &site(value))?;
    }
    per_worker(&registry, &truth.workers)?;

    let sum = |count: fn(&WorkerTruth) -> u64| truth.workers.iter().map(count).sum::<u64>() as f64;
    let single = |kind, name: &str, value: f64| add(&registry, kind, name, &[(Vec::new(), value)]);
    let held = sum(|worker| worker.counts.held_pings);
    single(
        Kind::Gauge,
        "windows_exchange_activesync_ping_cmds_pending",
        held,
    )?;
    let syncs = sum(|worker| worker.counts.syncs);
    single(
        Kind::Counter,
        "windows_exchange_activesync_sync_cmds_total",
        syncs,
    )?;
    let served = sum(|worker| worker.counts.served);
    single(
        Kind::Counter,
        "windows_exchange_activesync_requests_total",
        served,
    )?;
    let proxied = sum(|worker| worker.counts.outstanding_proxy);
    let outstanding = [(vec![("name", "eas")], proxied)];
    let name = "windows_exchange_http_proxy_outstanding_proxy_requests";
    add(&registry, Kind::Gauge, name, &outstanding)?;

    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn per_worker(registry: &Registry, workers: &[WorkerTruth]) -> prometheus::Result<()> {
    let pids: Vec<String> = workers
        .iter()
        .map(|worker| worker.pid.to_string())
        .collect();
    let memory: Vec<Option<Memory>> = workers.iter().map(|worker| memory(worker.pid)).collect();
    let iis = |value: &dyn Fn(&WorkerTruth) -> f64| -> Vec<Series<'_>> {
        let rows = pids.iter().zip(workers);
        rows.map(|(pid, worker)| (vec![("app", POOL), ("pid", pid.as_str())], value(worker)))
            .collect()
    };
    let active = iis(&|worker| worker.counts.active as f64);
    add(
        registry,
        Kind::Counter,
        "windows_iis_worker_current_requests",
        &active,
    )?;
    let served = iis(&|worker| worker.counts.served as f64);
    add(
        registry,
        Kind::Counter,
        "windows_iis_worker_requests_total",
        &served,
    )?;

    // With a process_id, as windows_exporter's next release has it; up to v0.31.8 the label is
    // missing on the CLR series.
    let process = |value: &dyn Fn(&WorkerTruth) -> f64| -> Vec<Series<'_>> {
        let rows = pids.iter().zip(workers);
        rows.map(|(pid, worker)| {
            (
                vec![("process", "w3wp"), ("process_id", pid.as_str())],
                value(worker),
            )
        })
        .collect()
    };
    let gc = process(&|worker| worker.counts.gc_share);
    add(
        registry,
        Kind::Gauge,
        "windows_netframework_clrmemory_gc_time_percent",
        &gc,
    )?;
    let heap = process(&|worker| worker.counts.heap_bytes as f64);
    add(
        registry,
        Kind::Gauge,
        "windows_netframework_clrmemory_committed_bytes",
        &heap,
    )?;
    let collections = process(&|worker| worker.counts.collections as f64);
    add(
        registry,
        Kind::Counter,
        "windows_netframework_clrmemory_collections_total",
        &collections,
    )?;
    let bytes = |value: fn(&Memory) -> u64| -> Vec<Series<'_>> {
        let rows = pids.iter().zip(&memory);
        rows.filter_map(|(pid, memory)| {
            let labels = vec![("process", "w3wp"), ("process_id", pid.as_str())];
            Some((labels, value(memory.as_ref()?) as f64))
        })
        .collect()
    };
    add(
        registry,
        Kind::Gauge,
        "windows_process_private_bytes",
        &bytes(|memory| memory.private),
    )?;
    let resident = bytes(|memory| memory.resident);
    add(
        registry,
        Kind::Gauge,
        "windows_process_working_set_bytes",
        &resident,
    )
}

/// Adds a metric; one without series is left out, as windows_exporter does.
fn add(
    registry: &Registry,
    kind: Kind,
    name: &str,
    series: &[Series<'_>],
) -> prometheus::Result<()> {
    let Some((labels, _)) = series.first() else {
        return Ok(());
    };
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let options = Opts::new(name, "see windows_exporter's collector of that name");
    match kind {
        Kind::Counter => {
            let metric = prometheus::CounterVec::new(options, &names)?;
            for (labels, value) in series {
                let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
                metric.get_metric_with_label_values(&values)?.inc_by(*value);
            }
            registry.register(Box::new(metric))
        }
        Kind::Gauge => {
            let metric = prometheus::GaugeVec::new(options, &names)?;
            for (labels, value) in series {
                let values: Vec<&str> = labels.iter().map(|(_, value)| *value).collect();
                metric.get_metric_with_label_values(&values)?.set(*value);
            }
            registry.register(Box::new(metric))
        }
    }
}

/// Bytes of a process.
struct Memory {
    private: u64,
    resident: u64,
}

/// From `/proc`, so `None` elsewhere than on Linux: a series that is absent is honest.
fn memory(pid: u32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
        Some(kilobytes << 10)
    };
    Some(Memory {
        private: field("RssAnon:")?,
        resident: field("VmRSS:")?,
    })
}
