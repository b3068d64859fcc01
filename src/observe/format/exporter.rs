//! Prometheus text of windows_exporter.
//!
//! Traps of that exporter (server-observability.md, section 2): Active Requests is typed as a
//! counter though it falls; a TCP state without a socket is absent; instances may be `w3wp#1` and
//! have no `process_id` up to v0.31.8; during an overlapped recycle there are two processes.

use prometheus_parse::{Sample, Scrape, Value};

use super::values::shown;
use super::{FormatError, Gathered, Pids, Scope};
use crate::measure::Gauges;

/// Metrics of the pool, with label `app` or `site`.
const OF_POOL: &[(&str, &str)] = &[
    ("iis_worker_current_requests", "active_requests"),
    ("iis_worker_requests_total", "requests_total"),
    ("iis_total_application_pool_recycles", "recycles"),
    ("iis_total_worker_processes_created", "workers_created"),
    ("iis_current_worker_processes", "workers"),
    (
        "iis_total_worker_process_shutdown_failures",
        "shutdown_failures",
    ),
    ("iis_total_worker_process_failures", "worker_failures"),
    ("iis_http_requests_current_queue_size", "queue"),
    ("iis_http_request_total_rejected_request", "rejected"),
];
/// Metrics of a process, with label `process` and perhaps `process_id`.
const OF_PROCESS: &[(&str, &str)] = &[
    ("netframework_clrmemory_gc_time_percent", "gc_time"),
    ("process_private_bytes", "private_bytes"),
    ("process_working_set_bytes", "working_set_bytes"),
    ("process_handles", "handles"),
    ("process_start_time_seconds_timestamp", "worker_started"),
];
/// Metrics of the machine.
const OF_MACHINE: &[(&str, &str)] = &[
    ("exchange_activesync_ping_cmds_pending", "pings_pending"),
    ("tcp_connection_failures_total", "tcp.connection_failures"),
];
/// Metrics of the front-end proxy, with label `name`.
const OF_PROXY: &[(&str, &str)] = &[
    (
        "exchange_http_proxy_outstanding_proxy_requests",
        "outstanding_proxy",
    ),
    (
        "exchange_http_proxy_mailbox_server_locator_avg_latency_sec",
        "mailbox_latency",
    ),
];
/// TCP states that are told of the whole machine.
const STATES: [&str; 3] = ["CLOSE_WAIT", "ESTABLISHED", "TIME_WAIT"];

pub(super) fn parse(text: &str, scope: &Scope) -> Result<Gauges, FormatError> {
    // The parser passes over what it does not understand, and a page of HTML is such.
    if let Some(line) = text.lines().find(|line| !line.trim().is_empty())
        && line.trim_start().starts_with('<')
    {
        return Err(FormatError::new(
            1,
            format!("expected Prometheus text, found {:?}", shown(line.trim())),
        ));
    }
    let lines = text.lines().map(|line| Ok(line.to_owned()));
    let scrape = Scrape::parse(lines)
        .map_err(|error| FormatError::new(1, format!("not Prometheus text: {error}")))?;
    let pids: Pids = scrape
        .samples
        .iter()
        .filter(|sample| short(sample) == Some("iis_worker_current_requests"))
        .filter(|sample| has(sample, "app", &scope.pool))
        .filter_map(|sample| sample.labels.get("pid").map(str::to_owned))
        .collect();
    let mut gathered = Gathered::default();
    let mut states_are_told = false;
    for sample in &scrape.samples {
        let value = match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
            Value::Histogram(_) | Value::Summary(_) => continue,
        };
        let Some(name) = short(sample) else { continue };
        let of = |table: &[(&str, &'static str)]| {
            let found = table.iter().find(|(metric, _)| *metric == name);
            found.map(|(_, gauge)| *gauge)
        };
        if let Some(gauge) = of(OF_POOL) {
            if has(sample, "app", &scope.pool) || has(sample, "site", &scope.pool) {
                gathered.server(gauge, value);
                if gauge == "active_requests"
                    && let Some(pid) = sample.labels.get("pid")
                {
                    gathered.server(&format!("active.{pid}"), value);
                }
            }
        } else if let Some(gauge) = of(OF_PROCESS) {
            if is_worker(sample, &pids, scope) {
                gathered.server(gauge, value);
            }
        } else if let Some(gauge) = of(OF_MACHINE) {
            gathered.server(gauge, value);
        } else if let Some(gauge) = of(OF_PROXY) {
            if has(sample, "name", "eas") {
                gathered.server(gauge, value);
            }
        } else if name == "tcp_connections_state_count" {
            states_are_told = true;
            if let Some(state) = sample.labels.get("state")
                && STATES.contains(&state)
            {
                gathered.server(&format!("tcp.{}", state.to_ascii_lowercase()), value);
            }
        }
    }
    // A state that no socket is in is absent, and that means zero.
    if states_are_told {
        for state in STATES {
            let name = format!("tcp.{}", state.to_ascii_lowercase());
            gathered.server(&name, 0.0);
        }
    }
    gathered.done(&format!(
        "windows_exporter metrics with app=\"{}\" (collectors iis, process, netframework, exchange, tcp)",
        scope.pool
    ))
}

fn short(sample: &Sample) -> Option<&str> {
    sample.metric.strip_prefix("windows_")
}

fn has(sample: &Sample, label: &str, value: &str) -> bool {
    let found = sample.labels.get(label);
    found.is_some_and(|found| found.eq_ignore_ascii_case(value))
}

/// Whether a process is one of the pool's. Up to v0.31.8 the CLR series have no process_id; then
/// only the name is left, which all pools share unless the exporter adds the pool to it.
fn is_worker(sample: &Sample, pids: &Pids, scope: &Scope) -> bool {
    let Some(process) = sample.labels.get("process") else {
        return false;
    };
    if let Some(pool) = process.strip_prefix("w3wp_") {
        return pool.eq_ignore_ascii_case(&scope.pool);
    }
    match sample.labels.get("process_id") {
        Some(pid) => pids.contains(pid),
        None => process == "w3wp" || process.starts_with("w3wp#"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::scope;
    use super::*;

    /// Shaped like windows_exporter v0.31.8: other pools and processes beside ours, two workers in
    /// overlap, Active Requests typed as a counter, CLR instances without a process id.
    const TEXT: &str = "\
# TYPE windows_iis_worker_current_requests counter
windows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"4712\"} 1823
windows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"9120\"} 40
windows_iis_worker_current_requests{app=\"MSExchangeOWAAppPool\",pid=\"77\"} 12
# TYPE windows_iis_total_application_pool_recycles counter
windows_iis_total_application_pool_recycles{app=\"MSExchangeSyncAppPool\"} 3
# TYPE windows_process_private_bytes gauge
windows_process_private_bytes{process=\"w3wp\",process_id=\"4712\"} 1000
windows_process_private_bytes{process=\"w3wp\",process_id=\"9120\"} 200
windows_process_private_bytes{process=\"w3wp\",process_id=\"77\"} 5
# TYPE windows_netframework_clrmemory_gc_time_percent gauge
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\"} 0.4
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp#1\"} 0.1
# TYPE windows_exchange_activesync_ping_cmds_pending gauge
windows_exchange_activesync_ping_cmds_pending 1790
# TYPE windows_tcp_connections_state_count gauge
windows_tcp_connections_state_count{af=\"ipv4\",state=\"ESTABLISHED\"} 4100
windows_tcp_connections_state_count{af=\"ipv6\",state=\"ESTABLISHED\"} 3
windows_tcp_connections_state_count{af=\"ipv4\",state=\"CLOSE_WAIT\"} 1760
";

    #[test]
    fn values_of_the_pool_are_summed_over_its_processes() {
        let gauges = parse(TEXT, &scope()).unwrap();
        assert_eq!(gauges["server.active_requests"], 1863.0);
        assert_eq!(gauges["server.active.9120"], 40.0);
        assert_eq!(gauges["server.private_bytes"], 1200.0);
        assert_eq!(gauges["server.gc_time"], 0.4);
        assert_eq!(gauges["server.recycles"], 3.0);
        assert_eq!(gauges["server.pings_pending"], 1790.0);
        assert!(!gauges.contains_key("server.queue"));
    }

    #[test]
    fn an_absent_state_is_zero_only_where_states_are_told() {
        let gauges = parse(TEXT, &scope()).unwrap();
        assert_eq!(gauges["server.tcp.established"], 4103.0);
        assert_eq!(gauges["server.tcp.close_wait"], 1760.0);
        assert_eq!(gauges["server.tcp.time_wait"], 0.0);
        let without: String = TEXT
            .lines()
            .filter(|line| !line.contains("tcp"))
            .fold(String::new(), |text, line| text + line + "\n");
        let gauges = parse(&without, &scope()).unwrap();
        assert!(!gauges.contains_key("server.tcp.close_wait"));
    }

    /// `--collector.process.iis=true`, and the next release's process_id on CLR series.
    #[test]
    fn labels_of_other_versions() {
        let text = "\
windows_iis_worker_current_requests{app=\"msexchangesyncapppool\",pid=\"4712\"} 7
windows_process_private_bytes{process=\"w3wp_MSExchangeSyncAppPool\",process_id=\"4712\"} 10
windows_process_private_bytes{process=\"w3wp_MSExchangeOWAAppPool\",process_id=\"77\"} 90
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\",process_id=\"77\"} 0.9
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\",process_id=\"4712\"} 0.2
";
        let gauges = parse(text, &scope()).unwrap();
        assert_eq!(gauges["server.active_requests"], 7.0);
        assert_eq!(gauges["server.private_bytes"], 10.0);
        assert_eq!(gauges["server.gc_time"], 0.2);
    }

    #[test]
    fn something_else_is_refused() {
        let message = |text: &str| parse(text, &scope()).unwrap_err().to_string();
        let html = message("\n<html>login</html>");
        assert!(html.contains("<html>login"), "{html}");
        let other = message("go_goroutines 12\n");
        assert!(other.contains("MSExchangeSyncAppPool"), "{other}");
        assert!(message("").contains("none is there"));
        assert!(
            message("windows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\"} NaN")
                .contains("none")
        );
    }
}
