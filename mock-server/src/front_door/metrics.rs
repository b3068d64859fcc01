//! `/metrics` with the names, labels and types of windows_exporter
//! (server-observability.md, section 1), including the odd ones: Active Requests is a counter
//! there though it falls.

use std::collections::BTreeMap;
use std::fmt::Display;

use mock_api::control::{COUNTED_ERRORS, Truth, WorkerCounts, WorkerTruth};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};
use tcp_table::State;

use super::server::Server;
use super::was::PoolState;
use crate::machine::Machine;
use crate::process::Memory;

/// The web site that devices connect to.
const SITE: &str = "Default Web Site";
/// The collectors whose metrics are here.
const COLLECTORS: [&str; 5] = ["exchange", "iis", "netframework", "process", "tcp"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}
use Kind::{Counter, Gauge};

/// One series: its labels and its value.
type Series<'a> = (Vec<(&'a str, String)>, f64);

/// Every metric has this help.
const HELP: &str = "see windows_exporter's collector of that name";

/// The metrics of one scrape, by name. They are made anew for each, as their series come and go with the workers,
/// so a registry would only cost time.
#[derive(Default)]
struct Page {
    families: BTreeMap<String, MetricFamily>,
}

impl Page {
    /// Adds a metric. The encoder refuses one without series, so that is left out, as windows_exporter does.
    fn add<'a>(&mut self, kind: Kind, name: &str, series: impl IntoIterator<Item = Series<'a>>) {
        let series = series.into_iter();
        let mut metrics: Vec<Metric> = series.map(|series| metric(kind, series)).collect();
        if metrics.is_empty() {
            return;
        }
        metrics.sort_by(|a, b| values(a).cmp(values(b)));
        // Workers that are starting have no process id yet, and would be told apart by nothing.
        metrics.dedup_by(|a, b| a.get_label() == b.get_label());
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(match kind {
            Counter => MetricType::COUNTER,
            Gauge => MetricType::GAUGE,
        });
        family.set_metric(metrics);
        self.families.insert(name.to_owned(), family);
    }

    fn text(self) -> prometheus::Result<String> {
        let families: Vec<MetricFamily> = self.families.into_values().collect();
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn single(&mut self, kind: Kind, name: &str, value: f64) {
        self.add(kind, name, [(Vec::new(), value)]);
    }
}

fn metric(kind: Kind, (mut labels, value): Series<'_>) -> Metric {
    labels.sort_unstable_by_key(|(name, _)| *name);
    let pairs = labels.into_iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value);
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    match kind {
        Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
    }
    metric
}

/// The order of series is that of their labels' values.
fn values(metric: &Metric) -> impl Iterator<Item = &str> {
    metric.get_label().iter().map(LabelPair::value)
}

fn label(name: &str, value: impl Display) -> (&str, String) {
    (name, value.to_string())
}

pub(super) fn render(server: &Server) -> prometheus::Result<String> {
    let truth = server.truth();
    let mut page = Page::default();
    pool(&mut page, server, &truth);
    queue_and_site(&mut page, server, &truth);
    workers(&mut page, server, &truth.workers);
    clr(&mut page, &truth.workers);
    processes(&mut page, &server.host.machine, &truth.workers);
    exchange(&mut page, server, &truth);
    tcp(&mut page, server);
    let collectors = COLLECTORS.map(|name| (vec![label("collector", name)], 1.0));
    page.add(Gauge, "windows_exporter_collector_success", collectors);
    // Not a metric of windows_exporter: every output says by which clock the pool lives.
    page.single(Gauge, "mock_time_scale", server.host.clock.scale());
    page.text()
}

/// `\APP_POOL_WAS`.
fn pool(page: &mut Page, server: &Server, truth: &Truth) {
    const STATES: [&str; 7] = [
        "Uninitialized",
        "Initialized",
        "Running",
        "Disabling",
        "Disabled",
        "Shutdown Pending",
        "Delete Pending",
    ];
    let app = || vec![label("app", server.pool_name())];
    for (name, value) in [
        ("application_pool_recycles", truth.recycles),
        ("worker_processes_created", truth.created),
        ("worker_process_shutdown_failures", truth.shutdown_failures),
        ("worker_process_failures", truth.failures),
        ("worker_process_ping_failures", truth.ping_failures),
        ("worker_process_startup_failures", truth.startup_failures),
    ] {
        let name = format!("windows_iis_total_{name}");
        page.add(Counter, &name, [(app(), value as f64)]);
    }
    let count = truth.workers.len() as f64;
    page.add(
        Gauge,
        "windows_iis_current_worker_processes",
        [(app(), count)],
    );
    let current = match server.pool.state() {
        PoolState::Running => "Running",
        PoolState::Stopped | PoolState::Disabled => "Disabled",
    };
    let states = STATES.map(|state| {
        let is_current = f64::from(u8::from(state == current));
        let labels = vec![label("app", server.pool_name()), label("state", state)];
        (labels, is_current)
    });
    page.add(Gauge, "windows_iis_current_application_pool_state", states);
    let began = server.host.clock.began().as_second() as f64;
    page.add(
        Gauge,
        "windows_iis_current_application_pool_start_time",
        [(app(), began)],
    );
}

/// `\HTTP Service Request Queues`, whose `site` is the name of the pool, and `\Web Service`.
fn queue_and_site(page: &mut Page, server: &Server, truth: &Truth) {
    let pool = &server.pool;
    for (name, value) in [
        ("http_requests_current_queue_size", truth.queued as f64),
        (
            "http_requests_max_queue_item_age",
            pool.oldest_waiting().as_secs_f64(),
        ),
        ("http_requests_arrival_rate", pool.arrival_rate() as f64),
        ("http_request_total_rejected_request", truth.rejected as f64),
    ] {
        let series = (vec![label("site", server.pool_name())], value);
        page.add(Gauge, &format!("windows_iis_{name}"), [series]);
    }
    let site = || vec![label("site", SITE)];
    page.add(
        Gauge,
        "windows_iis_current_connections",
        [(site(), truth.connections_open as f64)],
    );
    page.add(
        Counter,
        "windows_iis_connection_attempts_all_instances_total",
        [(site(), truth.connections_accepted as f64)],
    );
}

/// `\W3SVC_W3WP`.
fn workers(page: &mut Page, server: &Server, workers: &[WorkerTruth]) {
    let labels =
        |worker: &WorkerTruth| vec![label("app", server.pool_name()), label("pid", worker.pid)];
    let each = |value: fn(&WorkerTruth) -> f64| -> Vec<Series<'_>> {
        let series = workers.iter();
        series
            .map(|worker| (labels(worker), value(worker)))
            .collect()
    };
    page.add(
        Counter,
        "windows_iis_worker_current_requests",
        each(|worker| worker.counts.active as f64),
    );
    page.add(
        Counter,
        "windows_iis_worker_requests_total",
        each(|worker| worker.counts.served as f64),
    );
    let errors = workers.iter().flat_map(|worker| {
        let statuses = COUNTED_ERRORS.iter().zip(worker.counts.errors);
        statuses.map(move |(status, count)| {
            let mut labels = labels(worker);
            labels.push(label("status_code", status));
            (labels, count as f64)
        })
    });
    page.add(Counter, "windows_iis_worker_request_errors_total", errors);
    let busy = workers.iter().map(|worker| {
        let mut labels = labels(worker);
        labels.push(label("state", "busy"));
        (labels, worker.threads_busy as f64)
    });
    page.add(Gauge, "windows_iis_worker_threads", busy);
    let most = server.host.config.threads as f64;
    let most = workers.iter().map(|worker| (labels(worker), most));
    page.add(Counter, "windows_iis_worker_max_threads", most);
}

/// With a process_id, as windows_exporter's next release has it; up to v0.31.8 the label is missing
/// on the CLR series.
fn process_labels(worker: &WorkerTruth) -> Vec<(&'static str, String)> {
    vec![label("process", "w3wp"), label("process_id", worker.pid)]
}

/// `\.NET CLR Memory`, of the modelled heap.
fn clr(page: &mut Page, workers: &[WorkerTruth]) {
    let mut each = |kind, name: &str, value: fn(&WorkerCounts) -> f64| {
        let series = workers
            .iter()
            .map(|worker| (process_labels(worker), value(&worker.counts)));
        let name = format!("windows_netframework_clrmemory_{name}");
        page.add(kind, &name, series);
    };
    each(Gauge, "gc_time_percent", |counts| counts.gc_share * 100.0);
    each(Gauge, "committed_bytes", |counts| counts.heap_bytes as f64);
    each(Counter, "allocated_bytes_total", |counts| {
        counts.allocated_bytes as f64
    });
    type Area = (&'static str, fn(&WorkerCounts) -> f64);
    let by_area = |areas: &'static [Area]| {
        workers.iter().flat_map(move |worker| {
            areas.iter().map(move |(area, value)| {
                let mut labels = process_labels(worker);
                labels.push(label("area", area));
                (labels, value(&worker.counts))
            })
        })
    };
    // What lives is old, what was allocated since the last collection is young.
    const SIZES: &[Area] = &[
        ("Gen0", |counts| counts.young_bytes as f64),
        ("Gen1", |_| 0.0),
        ("Gen2", |counts| {
            (counts.heap_bytes - counts.young_bytes) as f64
        }),
        ("LOH", |_| 0.0),
    ];
    // A full collection counts in every generation.
    const COLLECTIONS: &[Area] = &[
        ("Gen0", |counts| counts.collections as f64),
        ("Gen1", |counts| counts.collections as f64),
        ("Gen2", |counts| counts.collections as f64),
    ];
    page.add(
        Gauge,
        "windows_netframework_clrmemory_heap_size_bytes",
        by_area(SIZES),
    );
    page.add(
        Counter,
        "windows_netframework_clrmemory_collections_total",
        by_area(COLLECTIONS),
    );
}

/// `\Process`; what the system does not tell is absent.
fn processes(page: &mut Page, machine: &Machine, workers: &[WorkerTruth]) {
    let memory: Vec<(&WorkerTruth, Memory)> = workers
        .iter()
        .filter_map(|worker| Some((worker, machine.memory(worker.pid, &worker.counts)?)))
        .collect();
    let mut bytes = |name: &str, value: fn(&Memory) -> u64| {
        let series = memory
            .iter()
            .map(|(worker, memory)| (process_labels(worker), value(memory) as f64));
        page.add(Gauge, &format!("windows_process_{name}"), series);
    };
    bytes("private_bytes", |memory| memory.private);
    bytes("working_set_private_bytes", |memory| memory.private);
    bytes("working_set_bytes", |memory| memory.resident);
    bytes("virtual_bytes", |memory| memory.virtual_bytes);
    let handles = workers.iter().filter_map(|worker| {
        let handles = machine.handles(worker.pid, &worker.counts)?;
        Some((process_labels(worker), handles as f64))
    });
    page.add(Gauge, "windows_process_handles", handles);
    let started: Vec<_> = workers
        .iter()
        .filter_map(|worker| Some((worker, machine.threads_and_start(worker)?)))
        .collect();
    let threads = started
        .iter()
        .map(|(worker, (threads, _))| (process_labels(worker), *threads as f64));
    page.add(Gauge, "windows_process_threads", threads);
    let starts = started
        .iter()
        .map(|(worker, (_, start))| (process_labels(worker), *start));
    page.add(
        Gauge,
        "windows_process_start_time_seconds_timestamp",
        starts,
    );
}

/// `\MSExchange ActiveSync` and `\MSExchange HttpProxy`.
fn exchange(page: &mut Page, server: &Server, truth: &Truth) {
    let lifetime = server.pool.lifetime();
    page.single(
        Gauge,
        "windows_exchange_activesync_ping_cmds_pending",
        server.pings_pending(truth) as f64,
    );
    page.single(
        Counter,
        "windows_exchange_activesync_sync_cmds_total",
        lifetime.syncs as f64,
    );
    page.single(
        Counter,
        "windows_exchange_activesync_requests_total",
        lifetime.commands as f64,
    );
    let eas = || vec![label("name", "eas")];
    let outstanding = truth.sum(|counts| counts.outstanding_proxy) as f64;
    page.add(
        Gauge,
        "windows_exchange_http_proxy_outstanding_proxy_requests",
        [(eas(), outstanding)],
    );
    page.add(
        Counter,
        "windows_exchange_http_proxy_requests_total",
        [(eas(), lifetime.proxied as f64)],
    );
}

/// TCP of this server's sockets; a state without a socket is absent, as the trap is.
fn tcp(page: &mut Page, server: &Server) {
    let counts = server.socket_states();
    let af = |is_ipv4: bool| if is_ipv4 { "ipv4" } else { "ipv6" };
    let states = counts.iter().map(|((is_ipv4, state), count)| {
        let af = af(*is_ipv4);
        let labels = vec![label("af", af), label("state", state.exporter())];
        (labels, *count as f64)
    });
    page.add(Gauge, "windows_tcp_connections_state_count", states);
    // ESTABLISHED and CLOSE_WAIT, as windows_exporter counts them.
    let established = [true, false].map(|is_ipv4| {
        let of = |state| counts.get(&(is_ipv4, state)).copied().unwrap_or(0);
        let count = of(State::Established) + of(State::CloseWait);
        (vec![label("af", af(is_ipv4))], count as f64)
    });
    page.add(Gauge, "windows_tcp_connections_established", established);
    // The proxy's connections are IPv4 ones.
    let lifetime = server.pool.lifetime();
    let mut both = |name: &str, ipv4: u64| {
        let series = [("ipv4", ipv4), ("ipv6", 0)];
        let series = series.map(|(af, count)| (vec![label("af", af)], count as f64));
        page.add(Counter, &format!("windows_tcp_{name}"), series);
    };
    both(
        "connection_failures_total",
        lifetime.connect_failures + lifetime.port_failures,
    );
    both("connections_active_total", lifetime.connects);
    if let Some(host) = server.host.machine.tcp_counters() {
        both("connections_reset_total", host.reset);
        both("segments_retransmitted_total", host.retransmitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// windows_exporter gives a percentage since 0.20, whatever its share is called elsewhere.
    #[test]
    fn gc_time_is_a_percentage() {
        let worker = |pid, gc_share| WorkerTruth {
            pid,
            counts: WorkerCounts {
                gc_share,
                ..WorkerCounts::default()
            },
            ..WorkerTruth::default()
        };
        let mut page = Page::default();
        clr(&mut page, &[worker(4712, 0.025), worker(9120, 1.0)]);
        let text = page.text().unwrap();
        let name = "windows_netframework_clrmemory_gc_time_percent";
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with(name)).collect();
        assert_eq!(
            series,
            [
                format!("{name}{{process=\"w3wp\",process_id=\"4712\"}} 2.5"),
                format!("{name}{{process=\"w3wp\",process_id=\"9120\"}} 100"),
            ]
        );
    }

    #[test]
    fn text_is_the_one_that_a_registry_gives() {
        let series = [("b", "2", 1.5), ("a", "10", 2.0), ("a", "9", 3.0)];
        let registry = prometheus::Registry::new();
        let gauge =
            prometheus::GaugeVec::new(prometheus::Opts::new("zoo_state", HELP), &["state", "app"]);
        let gauge = gauge.unwrap();
        for (state, app, value) in series {
            gauge.with_label_values(&[state, app]).set(value);
        }
        let counter = prometheus::Counter::new("animals_total", HELP).unwrap();
        counter.inc_by(7.0);
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(counter)).unwrap();
        let mut expected = Vec::new();
        let encoder = TextEncoder::new();
        encoder.encode(&registry.gather(), &mut expected).unwrap();

        let mut page = Page::default();
        let labelled = series
            .map(|(state, app, value)| (vec![label("state", state), label("app", app)], value));
        page.add(Gauge, "zoo_state", labelled);
        page.single(Counter, "animals_total", 7.0);
        page.add(Gauge, "nothing", []);
        assert_eq!(page.text().unwrap(), String::from_utf8(expected).unwrap());
    }

    #[test]
    fn workers_without_a_process_id_are_one_series() {
        let mut page = Page::default();
        clr(&mut page, &[WorkerTruth::default(), WorkerTruth::default()]);
        let text = page.text().unwrap();
        let percent = |line: &&str| line.starts_with("windows_netframework_clrmemory_gc_time");
        assert_eq!(text.lines().filter(percent).count(), 1, "{text}");
    }
}
