//! What the mock publishes (mock-fidelity section 8), against the list of
//! server-observability.md, section 1.

use std::time::Duration;

use mock_api::Fault;
use mock_client::Control;
use mock_server::FrontDoor;

use super::phone::Phone;
use super::raw::held;
use crate::fixtures::{eventually, mock};

fn control(mock: &FrontDoor) -> Control {
    Control::new(&mock.addresses().control).unwrap()
}

/// Name, type as windows_exporter exposes it, and labels.
const METRICS: [(&str, &str, &str); 43] = [
    ("windows_iis_worker_current_requests", "counter", "app,pid"),
    ("windows_iis_worker_requests_total", "counter", "app,pid"),
    ("windows_iis_worker_threads", "gauge", "app,pid,state"),
    ("windows_iis_worker_max_threads", "counter", "app,pid"),
    (
        "windows_iis_worker_request_errors_total",
        "counter",
        "app,pid,status_code",
    ),
    (
        "windows_iis_total_application_pool_recycles",
        "counter",
        "app",
    ),
    (
        "windows_iis_total_worker_processes_created",
        "counter",
        "app",
    ),
    ("windows_iis_current_worker_processes", "gauge", "app"),
    (
        "windows_iis_total_worker_process_shutdown_failures",
        "counter",
        "app",
    ),
    (
        "windows_iis_total_worker_process_failures",
        "counter",
        "app",
    ),
    (
        "windows_iis_total_worker_process_ping_failures",
        "counter",
        "app",
    ),
    (
        "windows_iis_total_worker_process_startup_failures",
        "counter",
        "app",
    ),
    (
        "windows_iis_current_application_pool_state",
        "gauge",
        "app,state",
    ),
    (
        "windows_iis_current_application_pool_start_time",
        "gauge",
        "app",
    ),
    (
        "windows_iis_http_requests_current_queue_size",
        "gauge",
        "site",
    ),
    (
        "windows_iis_http_requests_max_queue_item_age",
        "gauge",
        "site",
    ),
    ("windows_iis_http_requests_arrival_rate", "gauge", "site"),
    (
        "windows_iis_http_request_total_rejected_request",
        "gauge",
        "site",
    ),
    ("windows_iis_current_connections", "gauge", "site"),
    (
        "windows_iis_connection_attempts_all_instances_total",
        "counter",
        "site",
    ),
    (
        "windows_netframework_clrmemory_gc_time_percent",
        "gauge",
        "process,process_id",
    ),
    (
        "windows_netframework_clrmemory_heap_size_bytes",
        "gauge",
        "area,process,process_id",
    ),
    (
        "windows_netframework_clrmemory_committed_bytes",
        "gauge",
        "process,process_id",
    ),
    (
        "windows_netframework_clrmemory_collections_total",
        "counter",
        "area,process,process_id",
    ),
    (
        "windows_netframework_clrmemory_allocated_bytes_total",
        "counter",
        "process,process_id",
    ),
    (
        "windows_process_private_bytes",
        "gauge",
        "process,process_id",
    ),
    (
        "windows_process_working_set_private_bytes",
        "gauge",
        "process,process_id",
    ),
    (
        "windows_process_working_set_bytes",
        "gauge",
        "process,process_id",
    ),
    (
        "windows_process_virtual_bytes",
        "gauge",
        "process,process_id",
    ),
    ("windows_process_handles", "gauge", "process,process_id"),
    ("windows_process_threads", "gauge", "process,process_id"),
    (
        "windows_process_start_time_seconds_timestamp",
        "gauge",
        "process,process_id",
    ),
    ("windows_tcp_connections_state_count", "gauge", "af,state"),
    ("windows_tcp_connections_established", "gauge", "af"),
    ("windows_tcp_connection_failures_total", "counter", "af"),
    ("windows_tcp_connections_active_total", "counter", "af"),
    ("windows_tcp_connections_reset_total", "counter", "af"),
    ("windows_tcp_segments_retransmitted_total", "counter", "af"),
    ("windows_exchange_activesync_ping_cmds_pending", "gauge", ""),
    ("windows_exchange_activesync_sync_cmds_total", "counter", ""),
    ("windows_exchange_activesync_requests_total", "counter", ""),
    (
        "windows_exchange_http_proxy_outstanding_proxy_requests",
        "gauge",
        "name",
    ),
    (
        "windows_exchange_http_proxy_requests_total",
        "counter",
        "name",
    ),
];

#[cfg(target_os = "linux")]
#[tokio::test]
async fn m1_every_metric_has_windows_exporter_s_name_type_and_labels() {
    let mock = mock(|_| {}).await;
    let (mut phone, _) = Phone::ready(&mock, "load1").await;
    phone.send_ping(600).await;
    eventually("held", || async { held(&mock) == 1 }).await;
    let text = control(&mock).metrics().await.unwrap();
    for (name, kind, labels) in METRICS {
        assert!(
            text.lines()
                .any(|line| line == format!("# TYPE {name} {kind}")),
            "{name} {kind}"
        );
        let series = text.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        let series = series.unwrap_or_else(|| panic!("no series of {name}"));
        let names: Vec<&str> = match series.split_once('{') {
            None => Vec::new(),
            Some((_, rest)) => {
                let inner = rest.split_once('}').unwrap().0;
                let pairs = inner.split("\",");
                pairs.map(|pair| pair.split_once('=').unwrap().0).collect()
            }
        };
        assert_eq!(names.join(","), labels, "{name}");
    }
    for collector in ["exchange", "iis", "netframework", "process", "tcp"] {
        let line = format!("windows_exporter_collector_success{{collector=\"{collector}\"}} 1");
        assert!(text.contains(&line), "{collector}");
    }
    // A Ping is one command, however many requests it is on its way through the server.
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    assert_eq!(value("windows_exchange_activesync_ping_cmds_pending "), 1.0);
    mock.shutdown().await;
}

/// Counters of a machine never fall, whatever becomes of workers.
#[tokio::test]
async fn m1_counters_of_the_machine_survive_a_recycle() {
    let mock =
        mock(|config| config.pool.process_model.shutdown_time_limit = Duration::from_millis(100))
            .await;
    let control = control(&mock);
    let (_phone, _) = Phone::ready(&mock, "load1").await;
    let value = async |name: &str| -> f64 {
        let text = control.metrics().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    let syncs = "windows_exchange_activesync_sync_cmds_total ";
    let requests = "windows_exchange_activesync_requests_total ";
    let active = "windows_tcp_connections_active_total{af=\"ipv4\"} ";
    eventually("counted", || async { value(syncs).await == 1.0 }).await;
    // Provision twice, FolderSync, Sync: each once, though it was two requests.
    eventually("counted", || async { value(requests).await == 4.0 }).await;
    let connects = value(active).await;
    assert!(connects >= 1.0);
    mock.recycle().await.unwrap();
    eventually("one worker", || async { mock.truth().workers.len() == 1 }).await;
    assert_eq!(value(syncs).await, 1.0);
    assert_eq!(value(requests).await, 4.0);
    assert!(value(active).await >= connects);
    mock.shutdown().await;
}

/// M2, M4, M5: what a server writes down is in files, if a folder is named.
#[tokio::test]
async fn m2_m4_m5_four_logs_are_written_as_files() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    let mock = mock(|config| config.logs = Some(logs.clone())).await;
    let (_phone, _) = Phone::ready(&mock, "load1").await;
    mock.recycle().await.unwrap();
    let read = |name: &str| std::fs::read_to_string(logs.join(name)).unwrap_or_default();
    eventually("a row of the performance log", || async {
        read("perfmon-1.csv").lines().count() >= 2
    })
    .await;
    assert!(read("perfmon-1.csv").starts_with("\"(PDH-CSV 4.0) ("));
    assert!(read("iis-1.log").contains("Cmd=FolderSync"));
    assert!(read("httperr-1.log").contains("#Fields: date time"));
    assert!(
        read("events-1.log").contains("\t5079\t"),
        "recycled on demand"
    );
    mock.shutdown().await;
}

/// S12, S4: a healthy front end leaves no socket in CLOSE_WAIT, however many it used at once.
#[tokio::test]
async fn s4_s12_the_fixed_server_has_no_close_wait_after_a_burst() {
    let mock = mock(|config| {
        config.fixed = true;
        config.faults = vec![Fault::strand(1.0)];
        config.back_end_idle_timeout = Duration::from_millis(300);
    })
    .await;
    let mut phones = Vec::new();
    for number in 0..20 {
        phones.push(Phone::ready(&mock, &format!("load{number}")).await.0);
    }
    for phone in &mut phones {
        phone.send_ping(600).await;
    }
    eventually("held", || async { held(&mock) == 20 }).await;
    let sockets = || mock.truth().sum(|counts| counts.outgoing_sockets);
    eventually("a socket each", || async { sockets() >= 20 }).await;
    for number in 0..20 {
        super::raw::mail(&mock, &format!("load{number}"), 1).await;
    }
    for phone in &mut phones {
        assert_eq!(phone.raw.answer().await.statuses(), ["2"]);
    }
    // The back end closes them when they have been idle; the front end does too.
    eventually("none is left", || async { sockets() == 0 }).await;
    let netstat = control(&mock).netstat(false).await.unwrap();
    assert_eq!(netstat.matches("CLOSE_WAIT").count(), 0, "{netstat}");
    mock.shutdown().await;
}
