//! The timeline for other programs: CSV in long format, and HdrHistogram's interval log.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use scenario::names::Metric;

use super::RunRecord;
use crate::timeline::Timeline;

/// A row for each figure of each second: `t,phase,kind,name,statistic,value`. Latencies in seconds,
/// levels in their own unit. The last rows are the problems of the run, of the kind `problem`.
///
/// # Errors
/// In words, when the timeline cannot be read.
pub fn timeline_csv(record: &RunRecord, directory: &Path) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrong = |error: csv::Error| error.to_string();
    let heading = ["t", "phase", "kind", "name", "statistic", "value"];
    writer.write_record(heading).map_err(wrong)?;
    let mut end = 0.0;
    for interval in Timeline::open(directory).map_err(|error| error.to_string())? {
        let interval = interval.map_err(|error| error.to_string())?;
        end = interval.t;
        let t = end.to_string();
        let mut row = |kind: &str, name: &str, statistic: &str, value: String| {
            let cells = [t.as_str(), &interval.phase, kind, name, statistic, &value];
            writer.write_record(cells)
        };
        for (name, count) in &interval.counts {
            row("count", name, "sum", count.to_string()).map_err(wrong)?;
        }
        for (name, value) in &interval.gauges {
            row("level", name, "last", value.to_string()).map_err(wrong)?;
        }
        for (name, latency) in &interval.latencies {
            let seconds = |micros: u64| (micros as f64 / 1e6).to_string();
            for (statistic, value) in [
                ("count", latency.count.to_string()),
                ("p50", seconds(latency.p50)),
                ("p95", seconds(latency.p95)),
                ("p99", seconds(latency.p99)),
                ("max", seconds(latency.max)),
            ] {
                row("latency", name, statistic, value).map_err(wrong)?;
            }
        }
    }
    let end = end.to_string();
    for problem in &record.problems {
        // One line each: whoever reads this may go by lines.
        let problem = problem.replace(['\n', '\r'], " ");
        let cells = [end.as_str(), "", "problem", &problem, "count", "1"];
        writer.write_record(cells).map_err(wrong)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// HdrHistogram's interval log, V2 and deflated, one line for each latency and second, tagged with
/// the latency's name; values in microseconds, the maximum column in seconds. Opens in the usual
/// viewers.
///
/// # Errors
/// In words, when the timeline cannot be read.
pub fn timeline_hlog(record: &RunRecord, directory: &Path) -> Result<Vec<u8>, String> {
    let started: jiff::Timestamp = record
        .started
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    let started = SystemTime::from(started);
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment(&format!(
            "[easload {} scenario {} seed {}]",
            record.easload, record.plan.name, record.seed
        ))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(1_000_000.0);
    let wrong = |error: &dyn std::fmt::Debug| format!("cannot write the interval log: {error:?}");
    {
        let mut log = builder
            .begin_log_with(&mut bytes, &mut serializer)
            .map_err(|error| wrong(&error))?;
        for interval in Timeline::open(directory).map_err(|error| error.to_string())? {
            let interval = interval.map_err(|error| error.to_string())?;
            let length = seconds(interval.seconds);
            let start = seconds(interval.t - interval.seconds);
            for metric in Metric::ALL {
                let histogram = interval
                    .latency(*metric)
                    .and_then(|latency| latency.histogram());
                if let Some(histogram) = histogram {
                    let tag = Tag::new(metric.as_str());
                    log.write_histogram(&histogram, start, length, tag)
                        .map_err(|error| wrong(&error))?;
                }
            }
        }
        for problem in &record.problems {
            let problem = problem.replace(['\n', '\r'], " ");
            log.write_comment(&format!("[easload problem: {problem}]"))
                .map_err(|error| wrong(&error))?;
        }
    }
    Ok(bytes)
}

/// A duration of what a file says; nonsense is none.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
