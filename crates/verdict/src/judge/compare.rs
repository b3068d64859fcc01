//! Two runs of one plan → what has changed, metric by metric. Refuses what cannot be compared.

use std::time::Duration;

use scenario::names::Metric;
use scenario::{DevicesPlan, PhaseKind, Plan, TargetPlan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

use super::checks::{failing, failing_each, histograms, requests};
use super::gauge;
use super::statistics::{
    Comparison, Course, Estimate, Figure, SHOWN, Share, compare_medians, compare_quantiles, median,
    samples_needed,
};
use super::{Digest, merged};
use crate::timeline::Interval;

/// How a figure has changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not measured in both runs.
    NotComparable,
    /// It was measured in both, too little to say whether it has changed.
    CannotTell,
    /// No change is proven that anybody would notice, and a large one is ruled out.
    Same,
    /// Proven better.
    Better,
    /// Proven worse.
    Worse,
}

impl Change {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotComparable => "not comparable",
            Self::CannotTell => "cannot tell",
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "WORSE",
        }
    }
}

/// One figure of both runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The phase.
    pub phase: String,
    /// The figure, as in `sync.p95`.
    pub figure: String,
    /// Its unit: `us`, `bytes`, `share` or nothing.
    pub unit: String,
    /// Before; absent if it was not measured.
    pub before: Option<f64>,
    /// After.
    pub after: Option<f64>,
    /// After over before, with its 95 % interval, where there is one.
    pub ratio: Option<Ratio>,
    /// How it has changed.
    pub change: Change,
    /// Why it cannot be compared or told.
    pub note: Option<String>,
    /// Whether the figures themselves differ by so much that it would matter, proven or not.
    #[serde(default)]
    pub is_noticeable: bool,
}

impl Row {
    /// Whether it was measured before, and not after.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.before.is_some() && self.after.is_none()
    }
}

/// A ratio with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ratio {
    /// From all data.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Everything about two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// One row for each figure and phase.
    pub rows: Vec<Row>,
    /// Worse if any is. It cannot be told if a difference that would matter is not proven. Else better if any
    /// is.
    pub change: Change,
}

/// A run that can be compared.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// Its plan.
    pub plan: &'a Plan,
    /// Its timeline.
    pub digest: &'a Digest,
}

/// A smaller change is the difference between two days, not between two versions.
const MARGIN: f64 = 0.10;
/// Samples, or requests, that a figure needs in each run.
const MIN_SAMPLES: u64 = 100;
/// Probability that a bound is missed, as of a 99 % interval. The margin of a figure keeps all figures
/// together below one false alarm in a hundred comparisons (docs/verdict.md).
const TAIL: f64 = 0.005;
const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];
const LATENCIES: [Metric; 5] = [
    Metric::Sync,
    Metric::Notification,
    Metric::Delivery,
    Metric::Gap,
    Metric::Connect,
];
/// Levels of the server, and by how much they must differ to be felt; `None`: a share of the
/// devices.
const LEVELS: [(&str, &str, Option<f64>); 6] = [
    (gauge::STRANDED, "", None),
    (gauge::ACTIVE, "", None),
    (gauge::CLOSE_WAIT, "", None),
    ("tcp.outgoing.ports", "", None),
    (gauge::MEMORY, "bytes", Some(16.0 * 1_048_576.0)),
    (gauge::GC, "share", Some(0.10)),
];
const PHASES: [PhaseKind; 3] = [PhaseKind::Baseline, PhaseKind::Aging, PhaseKind::Recovered];

/// What in two plans makes their runs different loads. The server, and with it the mock and its
/// faults, is what is compared, and may differ; so may names, seeds and checks.
#[must_use]
pub fn differences(a: &Plan, b: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} and {b}"));
        }
    };
    let kind = |plan: &Plan| match &plan.target {
        TargetPlan::Mock(_) => "the mock",
        TargetPlan::Server { .. } => "a server",
    };
    differ("target", kind(a).to_owned(), kind(b).to_owned());
    let (da, db) = (&a.devices, &b.devices);
    differ("devices", da.count.to_string(), db.count.to_string());
    differ("users", da.users.to_string(), db.users.to_string());
    let span = |pair: (Duration, Duration)| {
        format!("{}..{}", format_duration(pair.0), format_duration(pair.1))
    };
    differ(
        "grace",
        format_duration(da.grace),
        format_duration(db.grace),
    );
    differ("retry", span(da.retry), span(db.retry));
    let ramp = |plan: &Plan| format!("{} a second", plan.devices.ramp_per_second);
    differ("ramp", ramp(a), ramp(b));
    let tls = |plan: &DevicesPlan| plan.tls_text().unwrap_or_else(|| "as agreed".to_owned());
    differ("TLS", tls(da), tls(db));
    let carrier = |plan: &Plan| match &plan.target {
        TargetPlan::Server { carrier, .. } => carrier.text(),
        TargetPlan::Mock(_) => None,
    };
    let carrier = |plan: &Plan| carrier(plan).unwrap_or_else(|| "lean".to_owned());
    differ("transport", carrier(a), carrier(b));
    let profiles = |plan: &Plan| {
        let profiles = plan.devices.profiles.iter();
        profiles
            .map(|profile| {
                format!(
                    "{} (weight {}): {}, window {}",
                    profile.name,
                    profile.weight,
                    profile.text(),
                    profile.window
                )
            })
            .collect::<Vec<_>>()
            .join("; ")
    };
    differ("profiles", profiles(a), profiles(b));
    let mail = |plan: &Plan| {
        plan.mail.as_ref().map_or_else(
            || "none".to_owned(),
            |mail| format!("{} by {:?}", mail.text(), mail.door),
        )
    };
    differ("mail", mail(a), mail(b));
    let phases = |plan: &Plan| {
        let phases = plan.phases.iter();
        phases
            .map(|phase| {
                let abandon = phase.abandon.as_ref().map_or_else(String::new, |abandon| {
                    format!(
                        " abandoning {:.0} % after {} for {} ({}:{}:{})",
                        abandon.share * 100.0,
                        span(abandon.after),
                        span(abandon.away),
                        abandon.how.fin,
                        abandon.how.rst,
                        abandon.how.silence
                    )
                });
                let flight = phase.flight.as_ref().map_or_else(String::new, |flight| {
                    format!(
                        " without a network for {:.0} % for {} ({}:{}:{})",
                        flight.share * 100.0,
                        format_duration(flight.duration),
                        flight.how.fin,
                        flight.how.rst,
                        flight.how.silence
                    )
                });
                format!(
                    "{} {}{abandon}{flight}",
                    phase.kind.as_str(),
                    format_duration(phase.duration)
                )
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    differ("phases", phases(a), phases(b));
    found
}

/// Compares two runs of one plan.
#[must_use]
pub fn compare(before: Side<'_>, after: Side<'_>) -> Changes {
    let mut comparer = Comparer {
        before,
        after,
        rows: Vec::new(),
    };
    for phase in PHASES {
        if before.plan.phase(phase).is_none() {
            continue;
        }
        let (b, a) = (of(before.digest, phase), of(after.digest, phase));
        comparer.failing(phase, &b, &a);
        for metric in LATENCIES {
            comparer.latency(phase, metric, &b, &a);
        }
        for (name, unit, least) in LEVELS {
            comparer.level(phase, (name, unit, least), &b, &a);
        }
    }
    Changes {
        change: overall(&comparer.rows),
        rows: comparer.rows,
    }
}

/// All figures together.
fn overall(rows: &[Row]) -> Change {
    let worst = rows.iter().map(|row| row.change).max();
    // What was measured before and is not any more is no improvement.
    let is_lost = rows.iter().any(Row::is_lost);
    let is_doubtful = |row: &Row| row.change == Change::CannotTell && row.is_noticeable;
    match worst.unwrap_or(Change::NotComparable) {
        Change::Worse => Change::Worse,
        _ if is_lost => Change::NotComparable,
        Change::NotComparable => Change::NotComparable,
        _ if rows.iter().any(is_doubtful) => Change::CannotTell,
        change => change,
    }
}

fn of(digest: &Digest, phase: PhaseKind) -> Vec<&Interval> {
    let all = digest.intervals.iter();
    all.filter(|interval| interval.phase == phase.as_str())
        .collect()
}

struct Comparer<'a> {
    before: Side<'a>,
    after: Side<'a>,
    rows: Vec<Row>,
}

fn ratio(estimate: Estimate) -> Ratio {
    Ratio {
        value: estimate.value,
        low: estimate.low,
        high: estimate.high,
    }
}

/// Whether two figures differ by so much that users would notice, if the difference is there. Equal runs do
/// not differ by as much: of 40 pairs no p99 did by more than 1.33 times.
fn is_noticeable(ratio: f64, difference: f64, least: f64) -> bool {
    /// Half as slow again is what users call slow.
    const FACTOR: f64 = 1.5;
    (ratio > FACTOR && difference > least) || (ratio < 1.0 / FACTOR && difference < -least)
}

/// A change counts if all of its interval is beyond the margin, and if it is large enough to be
/// noticed at all. Where it may be by chance, or where twice as much or half as much may be true, nothing can
/// be told.
fn changed<F: Figure>(compared: &Comparison<F>, least: f64) -> Change {
    /// Nobody calls twice as much the same.
    const TWICE: f64 = 2.0;
    let (ratio, difference) = (compared.ratio(TAIL), compared.difference(1.0, TAIL));
    let may_be_twice = ratio.high > TWICE && difference.high > least;
    let may_be_half = ratio.low < 1.0 / TWICE && difference.low < -least;
    if ratio.low > 1.0 + MARGIN && difference.low > least {
        Change::Worse
    } else if ratio.high < 1.0 / (1.0 + MARGIN) && difference.high < -least {
        Change::Better
    } else if is_noticeable(ratio.value, difference.value, least) || may_be_twice || may_be_half {
        Change::CannotTell
    } else {
        Change::Same
    }
}

impl Comparer<'_> {
    fn row(&mut self, phase: PhaseKind, figure: String, unit: &str) -> Row {
        Row {
            phase: phase.as_str().to_owned(),
            figure,
            unit: unit.to_owned(),
            before: None,
            after: None,
            ratio: None,
            change: Change::NotComparable,
            note: None,
            is_noticeable: false,
        }
    }

    fn failing(&mut self, phase: PhaseKind, before: &[&Interval], after: &[&Interval]) {
        /// One request in a hundred.
        const LEAST: f64 = 0.01;
        let mut row = self.row(phase, "failing".to_owned(), "share");
        if before.is_empty() || after.is_empty() {
            row.note = Some("the phase was not played".to_owned());
        } else {
            let (b, a) = (failing(before), failing(after));
            let asked = (requests(before), requests(after));
            (row.before, row.after) = (Some(b), Some(a));
            let times = if b > 0.0 { a / b } else { f64::INFINITY };
            row.is_noticeable = is_noticeable(times, a - b, LEAST);
            let compared = Share::compare(&failing_each(before), &failing_each(after));
            let difference = compared.map(|compared| compared.difference(1.0, TAIL));
            row.change = match difference {
                Some(one) if one.low > LEAST => Change::Worse,
                Some(one) if one.high < -LEAST => Change::Better,
                Some(_) if !row.is_noticeable && asked.0.min(asked.1) >= MIN_SAMPLES => {
                    Change::Same
                }
                _ => {
                    row.note = Some(format!(
                        "{} and {} requests are too few, or fail in too few bursts",
                        asked.0, asked.1
                    ));
                    Change::CannotTell
                }
            };
        }
        self.rows.push(row);
    }

    fn latency(
        &mut self,
        phase: PhaseKind,
        metric: Metric,
        before: &[&Interval],
        after: &[&Interval],
    ) {
        let (b, a) = (
            merged(before.iter().copied(), metric),
            merged(after.iter().copied(), metric),
        );
        // What neither run has is no row: TLS on a plain server, mail in a run without.
        if b.is_empty() && a.is_empty() {
            return;
        }
        let quantiles = QUANTILES.map(|(_, quantile)| quantile);
        let course = match phase {
            PhaseKind::Aging => Course::Trending,
            _ => Course::Level,
        };
        let enough = b.len() >= MIN_SAMPLES && a.len() >= MIN_SAMPLES;
        let compared = enough.then(|| {
            compare_quantiles(
                &histograms(before, metric),
                &histograms(after, metric),
                quantiles,
                course,
            )
        });
        let compared = compared.flatten();
        let slack = self.after.plan.checks.slack.as_micros() as f64;
        for (index, (name, quantile)) in QUANTILES.into_iter().enumerate() {
            let mut row = self.row(phase, format!("{}.{name}", metric.as_str()), "us");
            row.before = (!b.is_empty()).then(|| b.value_at_quantile(quantile) as f64);
            row.after = (!a.is_empty()).then(|| a.value_at_quantile(quantile) as f64);
            if let (Some(before), Some(after)) = (row.before, row.after) {
                row.is_noticeable = is_noticeable(after / before, after - before, slack);
                row.change = Change::CannotTell;
            }
            let needed = samples_needed(quantile, TAIL).max(MIN_SAMPLES);
            match &compared {
                _ if b.len() < needed || a.len() < needed => {
                    row.note = Some(format!(
                        "{} and {} samples, {needed} needed in each run",
                        b.len(),
                        a.len()
                    ));
                }
                Some(compared) => {
                    let one = &compared[index];
                    // From nothing there is no ratio, only a difference.
                    row.ratio = (one.value().0 > 0.0).then(|| ratio(one.ratio(SHOWN)));
                    row.change = changed(one, slack);
                    if row.change == Change::CannotTell {
                        row.note = Some("the interval is too wide".to_owned());
                    }
                }
                None => {
                    row.note = Some("not seen in enough intervals of both runs".to_owned());
                }
            }
            self.rows.push(row);
        }
    }

    fn level(
        &mut self,
        phase: PhaseKind,
        (name, unit, least): (&str, &str, Option<f64>),
        before: &[&Interval],
        after: &[&Interval],
    ) {
        /// Of the devices: fewer requests, sockets or ports come and go.
        const DEVICES: f64 = 0.05;
        let values = |intervals: &[&Interval]| -> Vec<f64> {
            let all = intervals.iter();
            all.filter_map(|interval| interval.gauge(name)).collect()
        };
        let (b, a) = (values(before), values(after));
        if b.is_empty() && a.is_empty() {
            return;
        }
        let least = least.unwrap_or_else(|| DEVICES * f64::from(self.before.plan.devices.count));
        let mut row = self.row(phase, name.to_owned(), unit);
        (row.before, row.after) = (median(&b), median(&a));
        match compare_medians(&b, &a, Course::Trending) {
            Some(compared) => {
                let (times, difference) = (compared.ratio(SHOWN), compared.difference(1.0, TAIL));
                // From nothing there is no ratio, only a difference.
                let before = compared.value().0;
                if before >= 1.0 || unit == "share" && before > 0.0 {
                    row.ratio = Some(ratio(times));
                }
                row.is_noticeable = difference.value.abs() > least;
                row.change = if difference.low > least {
                    Change::Worse
                } else if difference.high < -least {
                    Change::Better
                } else if row.is_noticeable {
                    row.note = Some("the interval is too wide".to_owned());
                    Change::CannotTell
                } else {
                    Change::Same
                };
            }
            None => {
                row.note = Some("not seen long enough in both runs".to_owned());
                if let (Some(before), Some(after)) = (row.before, row.after) {
                    row.is_noticeable = (after - before).abs() > least;
                    row.change = Change::CannotTell;
                }
            }
        }
        self.rows.push(row);
    }
}
