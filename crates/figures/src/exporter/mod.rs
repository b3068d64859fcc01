//! Prometheus text of windows_exporter.
//!
//! Peculiarities of that exporter:
//!
//! - Active Requests has the type of a counter, and it falls.
//! - A TCP state without a socket is absent.
//! - Instances may be `w3wp#1`, and have no `process_id` up to v0.31.8.
//! - During an overlapped recycle there are two processes.

use std::collections::{BTreeMap, BTreeSet};

use crate::exposition::{Sample, sample};
use crate::instance::{W3wp, w3wp};
use crate::values::shown;
use crate::{FormatError, Gathered, Parsed, Scope};

/// Whose figure a series is, and with which labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The pool's: `app` or, of HTTP.sys, `site`.
    Pool,
    /// A process's: `process`, and perhaps `process_id`.
    Process,
    /// The machine's.
    Machine,
    /// The front-end proxy's: `name`.
    Proxy,
}
use Whose::{Machine, Pool, Process, Proxy};

/// What a series counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Bytes,
    Seconds,
    Percent,
    /// Seconds since 1970.
    Time,
}
use Unit::{Bytes, Count, Percent, Seconds, Time};

impl Unit {
    /// As the table of docs/exchange.md spells it.
    #[cfg(test)]
    const fn as_str(self) -> &'static str {
        match self {
            Count => "number",
            Bytes => "bytes",
            Seconds => "seconds",
            Percent => "percent",
            Time => "seconds since 1970",
        }
    }

    /// The value as the gauges have it, or why it cannot be one.
    fn read(self, value: f64) -> Result<f64, &'static str> {
        /// 2001 to 2286: before, it is the age of the process, which v0.31.0 gives
        /// (windows_exporter issue 2133).
        const TIMES: std::ops::Range<f64> = 1e9..1e10;
        match self {
            Percent if (0.0..=100.0).contains(&value) => Ok(value / 100.0),
            Percent => Err("is no percentage; windows_exporter before 0.32 can overflow here"),
            Time if TIMES.contains(&value) => Ok(value),
            Time => Err("is no time since 1970; windows_exporter 0.31.0 gives the age here"),
            Count | Bytes | Seconds if value >= 0.0 => Ok(value),
            Count | Bytes | Seconds => Err("is negative"),
        }
    }
}

/// A series without `windows_`, whose it is, its unit, and its gauge. The table of docs/exchange.md adds
/// the versions.
const SERIES: &[(&str, Whose, Unit, &str)] = &[
    (
        "iis_worker_current_requests",
        Pool,
        Count,
        "active_requests",
    ),
    ("iis_worker_requests_total", Pool, Count, "requests_total"),
    (
        "iis_total_application_pool_recycles",
        Pool,
        Count,
        "recycles",
    ),
    (
        "iis_total_worker_processes_created",
        Pool,
        Count,
        "workers_created",
    ),
    ("iis_current_worker_processes", Pool, Count, "workers"),
    (
        "iis_total_worker_process_shutdown_failures",
        Pool,
        Count,
        "shutdown_failures",
    ),
    (
        "iis_total_worker_process_failures",
        Pool,
        Count,
        "worker_failures",
    ),
    ("iis_http_requests_current_queue_size", Pool, Count, "queue"),
    (
        "iis_http_request_total_rejected_request",
        Pool,
        Count,
        "rejected",
    ),
    (
        "netframework_clrmemory_gc_time_percent",
        Process,
        Percent,
        "gc_time",
    ),
    ("process_private_bytes", Process, Bytes, "private_bytes"),
    (
        "process_working_set_bytes",
        Process,
        Bytes,
        "working_set_bytes",
    ),
    ("process_working_set", Process, Bytes, "working_set_bytes"),
    ("process_handles", Process, Count, "handles"),
    ("process_handle_count", Process, Count, "handles"),
    (
        "process_start_time_seconds_timestamp",
        Process,
        Time,
        "worker_started",
    ),
    ("process_start_time", Process, Time, "worker_started"),
    (
        "exchange_activesync_ping_cmds_pending",
        Machine,
        Count,
        "pings_pending",
    ),
    (
        "tcp_connection_failures_total",
        Machine,
        Count,
        "tcp.connection_failures",
    ),
    (
        "tcp_connection_failures",
        Machine,
        Count,
        "tcp.connection_failures",
    ),
    (
        "exchange_http_proxy_outstanding_proxy_requests",
        Proxy,
        Count,
        "outstanding_proxy",
    ),
    (
        "exchange_http_proxy_mailbox_server_locator_avg_latency_sec",
        Proxy,
        Seconds,
        "mailbox_latency",
    ),
];
/// TCP sockets of the machine, with label `state`.
const STATES_SERIES: &str = "tcp_connections_state_count";
/// The TCP states that are read.
const STATES: [&str; 3] = ["CLOSE_WAIT", "ESTABLISHED", "TIME_WAIT"];
/// Whether a collector worked, with label `collector`.
const SUCCESS: &str = "exporter_collector_success";
/// The collectors whose series are read.
const COLLECTORS: [&str; 5] = ["exchange", "iis", "netframework", "process", "tcp"];

/// A series that may be read, by its name and its labels. A page that holds two scrapes has each twice;
/// the last one counts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Series {
    /// `None` if nothing of that name is read.
    fn of(sample: Sample<'_>) -> Option<Self> {
        let name = sample.name.strip_prefix("windows_")?.to_owned();
        let is_known = [STATES_SERIES, SUCCESS].contains(&&*name)
            || SERIES.iter().any(|(known, ..)| *known == name);
        let labels = sample.labels.into_iter();
        is_known.then(|| Self {
            name,
            labels: labels
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        })
    }

    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    fn has(&self, label: &str, value: &str) -> bool {
        let found = self.label(label);
        found.is_some_and(|found| found.eq_ignore_ascii_case(value))
    }
}

/// Which process ids are the pool's.
type Pids = BTreeSet<String>;

pub(super) fn parse(text: &str, scope: &Scope) -> Result<Parsed, FormatError> {
    // A page of HTML is told apart from text that is damaged in places.
    if let Some(line) = text.lines().find(|line| !line.trim().is_empty())
        && line.trim_start().starts_with('<')
    {
        return Err(FormatError::new(
            1,
            format!("expected Prometheus text, found {:?}", shown(line.trim())),
        ));
    }
    let mut gathered = Gathered::default();
    let series = series(text, &mut gathered);
    let pids: Pids = series
        .keys()
        .filter(|series| series.name == "iis_worker_current_requests")
        .filter(|series| series.has("app", &scope.pool))
        .filter_map(|series| series.label("pid").map(str::to_owned))
        .collect();
    let mut states_are_there = false;
    for (series, value) in &series {
        match series.name.as_str() {
            STATES_SERIES => {
                states_are_there = true;
                if let Some(state) = series.label("state")
                    && STATES.contains(&state)
                {
                    gathered.server(&format!("tcp.{}", state.to_ascii_lowercase()), *value);
                }
            }
            SUCCESS => collector(series, *value, &mut gathered),
            _ => one(series, *value, scope, &pids, &mut gathered),
        }
    }
    // A state that no socket is in is absent, and that means zero.
    if states_are_there {
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

/// All series that may be read. A line that is no sample is reported and does not cost the others.
fn series(text: &str, gathered: &mut Gathered) -> BTreeMap<Series, f64> {
    let mut series = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        match sample(line) {
            Ok(None) => {}
            Ok(Some(sample)) => {
                let value = sample.value;
                // 0 divided by 0 and the like: no sample.
                if let Some(known) = Series::of(sample)
                    && value.is_finite()
                {
                    series.insert(known, value);
                }
            }
            // The writer is in the middle of it.
            Err(_) if lines.peek().is_none() && !text.ends_with('\n') => {}
            Err(problem) => gathered.remark(format!(
                "a line is left out, because it is not Prometheus text ({problem}): {:?}",
                shown(line.trim())
            )),
        }
    }
    series
}

/// Adds the value of one series.
fn one(series: &Series, value: f64, scope: &Scope, pids: &Pids, gathered: &mut Gathered) {
    let found = SERIES.iter().find(|(name, ..)| *name == series.name);
    let Some((name, whose, unit, gauge)) = found else {
        return;
    };
    let is_meant = match whose {
        Pool => series.has("app", &scope.pool) || series.has("site", &scope.pool),
        Process => is_worker(series, pids, scope, gathered),
        Machine => true,
        Proxy => series.has("name", "eas"),
    };
    if !is_meant {
        return;
    }
    match unit.read(value) {
        Ok(value) => {
            gathered.server(gauge, value);
            if *gauge == "active_requests"
                && let Some(pid) = series.label("pid")
            {
                gathered.server(&format!("active.{pid}"), value);
            }
        }
        Err(problem) => gathered.remark(format!(
            "a value of windows_{name} counts as no sample: it {problem}"
        )),
    }
}

/// Reports a collector that failed: its series are missing or old.
fn collector(series: &Series, success: f64, gathered: &mut Gathered) {
    if let Some(collector) = series.label("collector")
        && COLLECTORS.contains(&collector)
        && success == 0.0
    {
        gathered.remark(format!(
            "windows_exporter reports that its collector {collector} failed"
        ));
    }
}

/// Whether a process is one of the pool's. Up to v0.31.8 the CLR series have no process_id; then
/// only the name is left, which all pools share unless Windows or the exporter adds to it.
fn is_worker(series: &Series, pids: &Pids, scope: &Scope, gathered: &mut Gathered) -> bool {
    let process = series.label("process").and_then(w3wp);
    let pid = match process {
        None => return false,
        Some(W3wp::Other(pool)) => return pool.eq_ignore_ascii_case(&scope.pool),
        Some(W3wp::Pid(pid)) => Some(series.label("process_id").unwrap_or(pid)),
        Some(W3wp::Unnamed) => series.label("process_id"),
    };
    if pid.is_some() && pids.is_empty() {
        gathered.remark(format!(
            "worker processes are there, and no windows_iis_worker_current_requests with app=\"{}\" \
             that says which are the pool's; the collector iis gives it",
            scope.pool
        ));
    }
    pid.is_none_or(|pid| pids.contains(pid))
}

#[cfg(test)]
mod tests;
