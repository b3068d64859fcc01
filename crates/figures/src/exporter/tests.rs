use scenario::names::Gauges;

use super::*;
use crate::{case, decode, scope};

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
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\"} 40
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp#1\"} 10
# TYPE windows_exchange_activesync_ping_cmds_pending gauge
windows_exchange_activesync_ping_cmds_pending 1790
# TYPE windows_tcp_connections_state_count gauge
windows_tcp_connections_state_count{af=\"ipv4\",state=\"ESTABLISHED\"} 4100
windows_tcp_connections_state_count{af=\"ipv6\",state=\"ESTABLISHED\"} 3
windows_tcp_connections_state_count{af=\"ipv4\",state=\"CLOSE_WAIT\"} 1760
";

fn gauges(text: &str) -> Gauges {
    parse(text, &scope()).unwrap().gauges
}

fn remarks(text: &str) -> Vec<String> {
    parse(text, &scope()).unwrap().remarks
}

#[test]
fn values_of_the_pool_are_summed_over_its_processes() {
    let gauges = gauges(TEXT);
    assert_eq!(gauges["server.active_requests"], 1863.0);
    assert_eq!(gauges["server.active.9120"], 40.0);
    assert_eq!(gauges["server.private_bytes"], 1200.0);
    assert_eq!(gauges["server.gc_time"], 0.4);
    assert_eq!(gauges["server.recycles"], 3.0);
    assert_eq!(gauges["server.pings_pending"], 1790.0);
    assert!(!gauges.contains_key("server.queue"));
    assert_eq!(remarks(TEXT), [""; 0]);
}

#[test]
fn an_absent_state_is_zero_only_where_states_are_reported() {
    let with = gauges(TEXT);
    assert_eq!(with["server.tcp.established"], 4103.0);
    assert_eq!(with["server.tcp.close_wait"], 1760.0);
    assert_eq!(with["server.tcp.time_wait"], 0.0);
    let without: String = TEXT
        .lines()
        .filter(|line| !line.contains("tcp"))
        .fold(String::new(), |text, line| text + line + "\n");
    assert!(!gauges(&without).contains_key("server.tcp.close_wait"));
}

/// `--collector.process.iis=true`, and the next release's process_id on CLR series.
#[test]
fn labels_of_other_versions_are_read() {
    let text = "\
windows_iis_worker_current_requests{app=\"msexchangesyncapppool\",pid=\"4712\"} 7
windows_process_private_bytes{process=\"w3wp_MSExchangeSyncAppPool\",process_id=\"4712\"} 10
windows_process_private_bytes{process=\"w3wp_MSExchangeOWAAppPool\",process_id=\"77\"} 90
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\",process_id=\"77\"} 90
windows_netframework_clrmemory_gc_time_percent{process=\"w3wp\",process_id=\"4712\"} 20
";
    let found = gauges(text);
    assert_eq!(found["server.active_requests"], 7.0);
    assert_eq!(found["server.private_bytes"], 10.0);
    assert_eq!(found["server.gc_time"], 0.2);
    // Names with process ids, as Windows makes them with ProcessNameFormat.
    let named = text
        .replace("w3wp\",process_id=\"77\"", "w3wp_p77_r3_ad2\"")
        .replace("w3wp\",process_id=\"4712\"", "w3wp_p4712_r15_ad2\"");
    assert_eq!(gauges(&named), found);
}

#[test]
fn gc_time_is_a_percentage_and_a_value_that_is_none_is_no_sample() {
    let found = gauges(&decode(&case("d1-exporter-031.prom")));
    assert_eq!(found["server.gc_time"], 2.4561 / 100.0);
    assert_eq!(found["server.private_bytes"], 4.385_464_32e8);
    assert_eq!(found["server.worker_started"], 1.7731e9);
    let with = |value: &str| TEXT.replace("w3wp\"} 40", &format!("w3wp\"}} {value}"));
    for (value, expected) in [("100", 1.0), ("0", 0.1), ("10.5", 0.105)] {
        assert_eq!(gauges(&with(value))["server.gc_time"], expected, "{value}");
        assert_eq!(remarks(&with(value)), [""; 0], "{value}");
    }
    for value in ["100.1", "42949.67295", "4.294967295e+09", "-1"] {
        assert_eq!(gauges(&with(value))["server.gc_time"], 0.1, "{value}");
        assert_eq!(
            remarks(&with(value)),
            [
                "a value of windows_netframework_clrmemory_gc_time_percent counts as no sample: \
                 it is no percentage; windows_exporter before 0.32 can overflow here"
            ],
            "{value}"
        );
    }
    // From 0.32 on it is left out, and before it may be 0/0.
    for text in [with("NaN"), with("+Inf")] {
        assert_eq!(gauges(&text)["server.gc_time"], 0.1);
    }
    let absent = TEXT.lines().filter(|line| !line.contains("gc_time"));
    let absent = absent.fold(String::new(), |text, line| text + line + "\n");
    assert!(!gauges(&absent).contains_key("server.gc_time"));
}

#[test]
fn names_of_earlier_versions_are_read() {
    let old = decode(&case("d2-exporter-0300.prom"));
    let found = gauges(&old);
    assert_eq!(found["server.worker_started"], 1.7731e9);
    assert_eq!(found["server.handles"], 2100.0);
    assert_eq!(found["server.private_bytes"], 4.385_464_32e8);
    let older = old.replace("process_handles", "process_handle_count")
        + "windows_process_working_set{process=\"w3wp\",process_id=\"4712\"} 7\n\
           windows_tcp_connection_failures 3\n";
    let found = gauges(&older);
    assert_eq!(found["server.handles"], 2100.0);
    assert_eq!(found["server.working_set_bytes"], 7.0);
    assert_eq!(found["server.tcp.connection_failures"], 3.0);
    // 0.31.0 gives the age instead of the time.
    let age = old.replace("1.7731e+09", "963386.0077419281");
    assert!(!gauges(&age).contains_key("server.worker_started"));
    assert_eq!(
        remarks(&age),
        [
            "a value of windows_process_start_time counts as no sample: it is no time since \
             1970; windows_exporter 0.31.0 gives the age here"
        ]
    );
}

#[test]
fn no_way_of_writing_a_label_loses_it() {
    let expected = gauges(TEXT);
    for text in [
        TEXT.replace("\",", "\", "),
        TEXT.replace("\",", "\" , ").replace('{', "{ "),
        TEXT.replace("\"}", "\",}"),
        TEXT.replace('\n', "\r\n"),
        TEXT.replace("} ", "}\t"),
        TEXT.replace("app=", "note=\"a,b={}\\\"c\\\\\",app="),
        TEXT.trim_end().to_owned(),
        TEXT.lines().rev().collect::<Vec<_>>().join("\n"),
        TEXT.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line} 1395066363000\n"))
            .collect(),
        format!("{TEXT}# EOF\n"),
        TEXT.repeat(2),
    ] {
        assert_eq!(gauges(&text), expected, "{text}");
        assert_eq!(remarks(&text), [""; 0], "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_reported() {
    let damaged = format!("{TEXT}windows_iis_worker_current_requests{{app=\"x}} 3\n");
    assert_eq!(gauges(&damaged), gauges(TEXT));
    assert_eq!(
        remarks(&damaged),
        [
            "a line is left out, because it is not Prometheus text (expected a closing quotation \
             mark): \"windows_iis_worker_current_requests{app=\\\"x} 3\""
        ]
    );
    let failed = format!(
        "{TEXT}windows_exporter_collector_success{{collector=\"exchange\"}} 0\n\
         windows_exporter_collector_success{{collector=\"iis\"}} 1\n\
         windows_exporter_collector_success{{collector=\"os\"}} 0\n"
    );
    assert_eq!(
        remarks(&failed),
        ["windows_exporter reports that its collector exchange failed"]
    );
    let lone = "windows_tcp_connection_failures_total 3\n\
                windows_process_private_bytes{process=\"w3wp\",process_id=\"4712\"} 10\n";
    assert_eq!(
        remarks(lone),
        [
            "worker processes are there, and no windows_iis_worker_current_requests with \
             app=\"MSExchangeSyncAppPool\" that says which are the pool's; the collector iis gives it"
        ]
    );
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
    let text = message("this is no metric\n");
    assert!(text.contains("expected a number as the value"), "{text}");
}

/// The table of docs/exchange.md and the series that are read are the same.
#[test]
fn every_series_is_in_the_documentation_with_its_unit() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/exchange.md");
    let page = std::fs::read_to_string(page).unwrap();
    let listed: Vec<(String, String, String)> = page
        .lines()
        .filter_map(|line| {
            let row = line.strip_prefix("| `windows_")?;
            let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
            let mut cell = || cells.next().map(str::to_owned);
            Some((cell()?, cell()?, cell()?))
        })
        .collect();
    let mut expected: Vec<(String, String, String)> = SERIES
        .iter()
        .map(|(name, _, unit, gauge)| {
            (
                (*name).to_owned(),
                unit.as_str().to_owned(),
                (*gauge).to_owned(),
            )
        })
        .collect();
    expected.push((
        STATES_SERIES.to_owned(),
        "number".to_owned(),
        "tcp.STATE".to_owned(),
    ));
    assert_eq!(listed, expected);
}
