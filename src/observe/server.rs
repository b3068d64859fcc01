//! The server's counters as windows_exporter shows them.
//!
//! Traps of that exporter (server-observability.md, section 2): Active Requests is typed as a
//! counter though it falls; during an overlapped recycle there are two processes, so values are
//! summed over them.

use std::time::Duration;

use futures_util::future::try_join_all;
use prometheus_parse::{Sample, Scrape, Value};

use super::super::measure::Gauges;

/// A scrape must not outlast the second it is for.
const TIMEOUT: Duration = Duration::from_millis(900);
/// A full windows_exporter answer is some 300 kB.
const MAX_BODY: usize = 8 << 20;

/// Why a source has no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No answer, or not 200.
    #[error("{url}: {problem}")]
    Fetch {
        /// Where.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// Not Prometheus text, or without any of the metrics.
    #[error("{url}: expected windows_exporter metrics with app=\"{pool}\": {problem}")]
    Content {
        /// Where.
        url: String,
        /// The pool looked for.
        pool: String,
        /// What is there instead.
        problem: String,
    },
}

/// The cause of an error: the outer ones only repeat the URL.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A windows_exporter, or the mock's imitation of it.
#[derive(Debug, Clone)]
pub struct MetricsSource {
    url: String,
    pool: String,
    client: reqwest::Client,
}

impl MetricsSource {
    /// The pool of Exchange's ActiveSync.
    pub const POOL: &str = "MSExchangeSyncAppPool";

    /// Reads that URL, for that application pool.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: String, pool: String) -> Result<Self, SourceError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| SourceError::Fetch {
                url: url.clone(),
                problem: error.to_string(),
            })?;
        Ok(Self { url, pool, client })
    }

    /// One reading: `server.*`.
    ///
    /// # Errors
    /// When the source does not answer in time, or answers something else.
    pub async fn sample(&self) -> Result<Gauges, SourceError> {
        let fetch = |problem: String| SourceError::Fetch {
            url: self.url.clone(),
            problem,
        };
        let sent = self.client.get(&self.url).send().await;
        let mut answer = sent.map_err(|error| fetch(innermost(&error)))?;
        if !answer.status().is_success() {
            return Err(fetch(format!("answered {}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| fetch(error.to_string()))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY {
                return Err(fetch(format!("answered more than {MAX_BODY} bytes")));
            }
        }
        self.read(&String::from_utf8_lossy(&body))
    }

    fn read(&self, text: &str) -> Result<Gauges, SourceError> {
        let content = |problem: &str| SourceError::Content {
            url: self.url.clone(),
            pool: self.pool.clone(),
            problem: problem.to_owned(),
        };
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).map_err(|error| content(&error.to_string()))?;
        let gauges = self.gauges(&scrape.samples);
        if gauges.is_empty() {
            Err(content("none is there"))
        } else {
            Ok(gauges)
        }
    }

    fn gauges(&self, samples: &[Sample]) -> Gauges {
        let mut gauges = Gauges::new();
        // The processes of the pool, by which `process_id` is recognised.
        let pids: Vec<&str> = samples
            .iter()
            .filter(|sample| sample.metric == "windows_iis_worker_current_requests")
            .filter(|sample| sample.labels.get("app") == Some(&self.pool))
            .filter_map(|sample| sample.labels.get("pid"))
            .collect();
        for sample in samples {
            let label = |name: &str| sample.labels.get(name);
            let is_pool = label("app") == Some(&self.pool) || label("site") == Some(&self.pool);
            // Up to v0.31.8 the CLR series have no process_id; then only the name is left.
            let is_process = match label("process_id") {
                Some(pid) => pids.contains(&pid),
                None => label("process").is_some_and(|name| name.starts_with("w3wp")),
            };
            let value = match sample.value {
                Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
                Value::Histogram(_) | Value::Summary(_) => continue,
            };
            let (name, applies, sums) = match sample.metric.as_str() {
                "windows_iis_worker_current_requests" => {
                    if is_pool && let Some(pid) = label("pid") {
                        gauges.insert(format!("server.active.{pid}"), value);
                    }
                    ("active_requests", is_pool, true)
                }
                "windows_iis_worker_requests_total" => ("requests_total", is_pool, true),
                "windows_iis_total_application_pool_recycles" => ("recycles", is_pool, true),
                "windows_iis_total_worker_processes_created" => ("workers_created", is_pool, true),
                "windows_iis_current_worker_processes" => ("workers", is_pool, true),
                "windows_iis_total_worker_process_shutdown_failures" => {
                    ("shutdown_failures", is_pool, true)
                }
                "windows_iis_total_worker_process_failures" => ("worker_failures", is_pool, true),
                "windows_iis_http_requests_current_queue_size" => ("queue", is_pool, true),
                "windows_iis_http_request_total_rejected_request" => ("rejected", is_pool, true),
                "windows_netframework_clrmemory_gc_time_percent" => ("gc_time", is_process, false),
                "windows_process_private_bytes" => ("private_bytes", is_process, true),
                "windows_process_working_set_bytes" => ("working_set_bytes", is_process, true),
                "windows_exchange_activesync_ping_cmds_pending" => ("pings_pending", true, true),
                "windows_exchange_http_proxy_outstanding_proxy_requests" => {
                    ("outstanding_proxy", label("name") == Some("eas"), true)
                }
                _ => continue,
            };
            if applies {
                let sum = gauges.entry(format!("server.{name}")).or_insert(0.0);
                *sum = if sums { *sum + value } else { sum.max(value) };
            }
        }
        gauges
    }
}

/// One reading over several servers. Without one of them a sum would tell of a fall that did not
/// happen, so there is none then.
///
/// # Errors
/// With the first source that has no reading.
pub async fn sample_all(sources: &[MetricsSource]) -> Result<Gauges, SourceError> {
    let mut readings = try_join_all(sources.iter().map(MetricsSource::sample)).await?;
    match readings.len() {
        1 => Ok(readings.remove(0)),
        _ => Ok(sum(readings)),
    }
}

/// Adds readings up. Process ids of different servers are told apart by the server's number.
fn sum(readings: Vec<Gauges>) -> Gauges {
    let mut gauges = Gauges::new();
    for (index, reading) in readings.into_iter().enumerate() {
        for (name, value) in reading {
            let name = match name.strip_prefix("server.active.") {
                Some(pid) => format!("server.active.{}:{pid}", index + 1),
                None => name,
            };
            let is_share = name == GC_TIME;
            let so_far = gauges.entry(name).or_insert(0.0);
            *so_far = if is_share {
                so_far.max(value)
            } else {
                *so_far + value
            };
        }
    }
    gauges
}

/// A share and no amount: of several processes the largest counts.
const GC_TIME: &str = "server.gc_time";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_several_servers_are_added_up() {
        let reading = |active: f64, gc: f64| {
            Gauges::from([
                ("server.active.4712".to_owned(), active),
                ("server.active_requests".to_owned(), active),
                (GC_TIME.to_owned(), gc),
            ])
        };
        let both = sum(vec![reading(10.0, 0.4), reading(5.0, 0.1)]);
        assert_eq!(both["server.active_requests"], 15.0);
        assert_eq!(both["server.active.1:4712"], 10.0);
        assert_eq!(both["server.active.2:4712"], 5.0);
        assert_eq!(both[GC_TIME], 0.4);
    }

    fn source() -> MetricsSource {
        MetricsSource::new(
            "http://exporter/metrics".to_owned(),
            MetricsSource::POOL.to_owned(),
        )
        .unwrap()
    }

    /// Shaped like windows_exporter v0.31.8: other pools and processes beside ours, two workers in
    /// overlap, Active Requests typed as a counter.
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
";

    #[test]
    fn values_of_the_pool_are_summed_over_its_processes() {
        let gauges = source().read(TEXT).unwrap();
        assert_eq!(gauges["server.active_requests"], 1863.0);
        assert_eq!(gauges["server.active.9120"], 40.0);
        assert_eq!(gauges["server.private_bytes"], 1200.0);
        assert_eq!(gauges["server.gc_time"], 0.4);
        assert_eq!(gauges["server.recycles"], 3.0);
        assert_eq!(gauges["server.pings_pending"], 1790.0);
        assert!(!gauges.contains_key("server.queue"));
    }

    #[test]
    fn something_else_is_refused() {
        let error = source().read("<html>login</html>").unwrap_err();
        assert!(
            error.to_string().contains("MSExchangeSyncAppPool"),
            "{error}"
        );
    }
}
