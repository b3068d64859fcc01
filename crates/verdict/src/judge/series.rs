//! Intervals → what a phase looked like.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use scenario::names::{Counter, Metric};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::statistics::median;
use crate::timeline::Interval;

/// A latency over a phase, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// Samples.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// A value over a phase.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Level {
    /// Median.
    pub median: f64,
    /// Largest.
    pub max: f64,
    /// At the end.
    pub last: f64,
}

/// What happened in one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseSummary {
    /// The phase.
    pub phase: String,
    /// Its length in seconds, as measured.
    pub seconds: f64,
    /// Events, by counter.
    pub counts: BTreeMap<String, u64>,
    /// Latencies, by metric.
    pub latencies: BTreeMap<String, Percentiles>,
    /// Values, by gauge.
    pub levels: BTreeMap<String, Level>,
}

/// Sums up each phase, in order of appearance.
#[must_use]
pub fn summarize(digest: &Digest) -> Vec<PhaseSummary> {
    let intervals = &digest.intervals;
    let mut names: Vec<&str> = Vec::new();
    for interval in intervals {
        if !names.contains(&interval.phase.as_str()) {
            names.push(&interval.phase);
        }
    }
    names
        .into_iter()
        .map(|name| summarize_phase(name, digest))
        .collect()
}

fn summarize_phase(name: &str, digest: &Digest) -> PhaseSummary {
    let intervals = &digest.intervals;
    let of_phase: Vec<&Interval> = intervals
        .iter()
        .filter(|interval| interval.phase == name)
        .collect();
    let before = intervals
        .iter()
        .take_while(|interval| interval.phase != name)
        .last();
    let start = before.map_or(0.0, |interval| interval.t);
    let end = of_phase.last().map_or(start, |interval| interval.t);
    let mut counts = BTreeMap::new();
    for counter in Counter::ALL {
        let sum: u64 = of_phase
            .iter()
            .map(|interval| interval.count(*counter))
            .sum();
        if sum > 0 {
            counts.insert(counter.as_str().to_owned(), sum);
        }
    }
    let mut latencies = BTreeMap::new();
    for metric in Metric::ALL {
        let histogram = merged(of_phase.iter().copied(), *metric);
        if !histogram.is_empty() {
            latencies.insert(
                metric.as_str().to_owned(),
                Percentiles {
                    count: histogram.len(),
                    p50: histogram.value_at_quantile(0.50),
                    p95: histogram.value_at_quantile(0.95),
                    p99: histogram.value_at_quantile(0.99),
                    max: histogram.max(),
                },
            );
        }
    }
    let phase = name;
    let mut series: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for interval in &of_phase {
        for (name, value) in &interval.gauges {
            series.entry(name).or_default().push(*value);
        }
    }
    let levels = series.into_iter().filter_map(|(name, values)| {
        let extreme = digest.extremes.get(phase)?.get(name)?;
        let level = Level {
            median: median(&values)?,
            max: extreme.max,
            last: extreme.last,
        };
        Some((name.to_owned(), level))
    });
    PhaseSummary {
        phase: name.to_owned(),
        seconds: end - start,
        counts,
        latencies,
        levels: levels.collect(),
    }
}

/// One histogram of several intervals.
pub fn merged<'a>(
    intervals: impl IntoIterator<Item = &'a Interval>,
    metric: Metric,
) -> Histogram<u64> {
    /// As recorded.
    const DIGITS: u8 = 3;
    let mut sum =
        Histogram::new(DIGITS).unwrap_or_else(|_| unreachable!("{DIGITS} digits are allowed"));
    for interval in intervals {
        if let Some(histogram) = interval
            .latency(metric)
            .and_then(|latency| latency.histogram())
        {
            // The sum resizes itself, so adding cannot fail.
            let _ = sum.add(&histogram);
        }
    }
    sum
}
