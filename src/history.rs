//! A perfmon log of the time of a run, laid beside what the devices saw, after the fact.

use std::path::Path;

use figures::{Scope, history};
use jiff::Timestamp;
use verdict::judge::Digester;
use verdict::report::RunRecord;
use verdict::timeline::Timeline;

use crate::observe::{Census, Estimator};

/// A log of weeks at a row every 15 seconds has some 100 MB.
const MOST: u64 = 512 << 20;
/// A row counts for its own period and another: one may be missing.
const PERIODS: f64 = 2.0;

/// Lays the figures of a PDH-CSV file beside the run's and judges it again.
///
/// # Errors
/// In words: the file cannot be read or is none, its times are not those of the run, or the timeline
/// cannot be read.
pub(crate) fn judge_with_history(
    record: &mut RunRecord,
    directory: &Path,
    file: &Path,
    bias: Option<i32>,
) -> Result<(), String> {
    use std::io::Read as _;
    let named = |problem: String| format!("{}: {problem}", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|file| file.take(MOST + 1).read_to_end(&mut bytes))
        .map_err(|error| named(error.to_string()))?;
    if bytes.len() as u64 > MOST {
        return Err(named(format!("has more than {MOST} bytes")));
    }
    let scope = Scope {
        pool: record.plan.observe.pool.clone(),
        client_port: 0,
        back_end_port: record.plan.observe.back_end_port,
    };
    let history = history(&bytes, &scope, bias).map_err(|error| named(error.to_string()))?;
    let started: Timestamp = record
        .started
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    let remarks = history.remarks.iter().map(|remark| named(remark.clone()));
    record.problems.extend(remarks.collect::<Vec<_>>());
    let rows: Vec<(f64, _)> = history
        .rows
        .into_iter()
        .map(|(at, gauges)| (at.duration_since(started).as_secs_f64(), gauges))
        .collect();
    let period = period(&rows.iter().map(|(t, _)| *t).collect::<Vec<_>>());
    let mut estimator = Estimator::new(record.plan.observe.requests_per_ping);
    let mut digester = Digester::default();
    let mut next = 0;
    let mut used = 0_u64;
    for interval in Timeline::open(directory).map_err(|error| error.to_string())? {
        let mut interval = interval.map_err(|error| error.to_string())?;
        while next < rows.len() && rows[next].0 <= interval.t {
            next += 1;
        }
        let row = next.checked_sub(1).map(|last| &rows[last]);
        if let Some((at, gauges)) = row
            && interval.t - at <= PERIODS * period
        {
            used += 1;
            for (name, value) in gauges {
                interval.gauges.entry(name.clone()).or_insert(*value);
            }
            let level = |name: &str| interval.gauge(name).unwrap_or(0.0);
            let open = interval.open_requests();
            let census = Census {
                open: (open, open),
                held: level("devices.holding"),
                given_up: level("devices.given_up"),
            };
            // A log has no second of its own: what it says is as old as its row.
            let age = interval.t - at;
            interval.gauges.insert("source.history.age".to_owned(), age);
            if let Some(estimate) = estimator.estimate(&interval.gauges, &census) {
                estimate.add_to(&mut interval.gauges);
            }
        }
        digester.push(interval);
    }
    if used == 0 {
        let span = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => format!(
                "its rows are from {:.0} s to {:.0} s after the run began",
                first.0, last.0
            ),
            _ => "it has no rows".to_owned(),
        };
        return Err(named(format!(
            "has nothing of the time of the run ({}): {span}; is the time zone right (--bias)?",
            record.started
        )));
    }
    record.stranded_basis = Some(estimator.to_string());
    record.problems.push(format!(
        "judged again with the figures of {} ({used} seconds of the run)",
        file.display()
    ));
    record.conclude(digester.done());
    Ok(())
}

/// The usual time between two rows, in seconds.
fn period(times: &[f64]) -> f64 {
    /// With a single row, nothing is known; a second is what an interval has.
    const LEAST: f64 = 1.0;
    let mut steps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    steps
        .get(steps.len() / 2)
        .copied()
        .unwrap_or(LEAST)
        .max(LEAST)
}
