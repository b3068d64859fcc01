//! `/metrics` with the names, labels and types of windows_exporter
//! (server-observability.md, section 1), including the odd ones: Active Requests is a counter
//! there though it falls.

use std::collections::BTreeMap;

use prometheus::{Encoder as _, Opts, Registry, TextEncoder};

use super::server::Server;
use super::was::PoolState;
use crate::control::WorkerTruth;
use crate::process::{Memory, memory};
use crate::surfaces::sockets::TcpState;

/// The pool of Exchange.
const POOL: &str = "MSExchangeSyncAppPool";

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// One series.
type Series<'a> = (Vec<(&'a str, &'a str)>, f64);

pub(super) fn render(server: &Server) -> prometheus::Result<String> {
    let truth = server.truth();
    let registry = Registry::new();
    let app = [("app", POOL)];
    let pool = |value: f64| vec![(app.to_vec(), value)];
    let counter = |name: &str, value: u64| add(&registry, Kind::Counter, name, &pool(value as f64));
    counter(
        "windows_iis_total_application_pool_recycles",
        truth.recycles,
    )?;
    counter("windows_iis_total_worker_processes_created", truth.created)?;
    counter(
        "windows_iis_total_worker_process_shutdown_failures",
        truth.shutdown_failures,
    )?;
    for (name, value) in [
        ("windows_iis_total_worker_process_failures", truth.failures),
        (
            "windows_iis_total_worker_process_ping_failures",
            truth.ping_failures,
        ),
        (
            "windows_iis_total_worker_process_startup_failures",
            truth.startup_failures,
        ),
    ] {
        counter(name, value)?;
    }
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
    single(
        Kind::Gauge,
        "windows_exchange_activesync_ping_cmds_pending",
        server.pings_pending(&truth) as f64,
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

    pool_state(&registry, server.pool.state())?;
    tcp(&registry, server)?;

    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// One series per state, 1 for the current one.
fn pool_state(registry: &Registry, state: PoolState) -> prometheus::Result<()> {
    const STATES: [&str; 7] = [
        "Uninitialized",
        "Initialized",
        "Running",
        "Disabling",
        "Disabled",
        "Shutdown Pending",
        "Delete Pending",
    ];
    let current = match state {
        PoolState::Running => "Running",
        PoolState::Stopped | PoolState::Disabled => "Disabled",
    };
    let series: Vec<Series<'_>> = STATES
        .iter()
        .map(|state| {
            let value = if *state == current { 1.0 } else { 0.0 };
            (vec![("app", POOL), ("state", *state)], value)
        })
        .collect();
    let name = "windows_iis_current_application_pool_state";
    add(registry, Kind::Gauge, name, &series)
}

/// TCP states of this server's sockets; a state without a socket is absent, as the trap is.
fn tcp(registry: &Registry, server: &Server) -> prometheus::Result<()> {
    let mut counts = BTreeMap::new();
    for row in server.sockets() {
        let af = if row.local.is_ipv4() { "ipv4" } else { "ipv6" };
        *counts.entry((af, row.state)).or_insert(0_u64) += 1;
    }
    let series: Vec<Series<'_>> = counts
        .iter()
        .map(|((af, state), count)| {
            (
                vec![("af", *af), ("state", state.exporter())],
                *count as f64,
            )
        })
        .collect();
    let name = "windows_tcp_connections_state_count";
    add(registry, Kind::Gauge, name, &series)?;
    // ESTABLISHED and CLOSE_WAIT, as windows_exporter counts them.
    let mut established = BTreeMap::new();
    for ((af, state), count) in &counts {
        if matches!(state, TcpState::Established | TcpState::CloseWait) {
            *established.entry(*af).or_insert(0.0) += *count as f64;
        }
    }
    let series: Vec<Series<'_>> = established
        .into_iter()
        .map(|(af, count)| (vec![("af", af)], count))
        .collect();
    add(
        registry,
        Kind::Gauge,
        "windows_tcp_connections_established",
        &series,
    )?;
    let truth = server.truth();
    let failures = truth.sum(|counts| counts.connect_failures + counts.port_failures);
    let series = [(vec![("af", "ipv4")], failures as f64)];
    let name = "windows_tcp_connection_failures_total";
    add(registry, Kind::Counter, name, &series)
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
