//! Two runs of one plan → what has changed, metric by metric. Refuses what cannot be compared.

use std::time::Duration;

use rand::SeedableRng as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::{failing, gauge, histograms};
use super::statistics::{Estimate, compare_medians, compare_quantiles, median};
use super::{Digest, merged};
use crate::measure::{Interval, Metric};
use crate::scenario::{DevicesPlan, PhaseKind, Plan, TargetPlan, format_duration};

/// How a figure has changed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It cannot be said.
    NotComparable,
    /// No difference is proven that anybody would notice.
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
    /// Why it cannot be compared.
    pub note: Option<String>,
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
    /// The worst of them, or better if some are and none is worse.
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
/// A quantile with fewer samples is just one of the largest values.
const MIN_SAMPLES: u64 = 100;
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
pub fn compare(before: Side<'_>, after: Side<'_>, seed: u64) -> Changes {
    let mut desk = Desk {
        before,
        after,
        random: Xoshiro256PlusPlus::seed_from_u64(seed),
        rows: Vec::new(),
    };
    for phase in PHASES {
        if before.plan.phase(phase).is_none() {
            continue;
        }
        let (b, a) = (of(before.digest, phase), of(after.digest, phase));
        desk.failing(phase, &b, &a);
        for metric in LATENCIES {
            desk.latency(phase, metric, &b, &a);
        }
        for (name, unit, least) in LEVELS {
            desk.level(phase, (name, unit, least), &b, &a);
        }
    }
    let worst = desk.rows.iter().map(|row| row.change).max();
    // What was measured before and is not any more is no improvement.
    let is_lost = desk.rows.iter().any(Row::is_lost);
    let change = match worst.unwrap_or(Change::NotComparable) {
        Change::Worse => Change::Worse,
        _ if is_lost => Change::NotComparable,
        change => change,
    };
    Changes {
        rows: desk.rows,
        change,
    }
}

fn of(digest: &Digest, phase: PhaseKind) -> Vec<&Interval> {
    let all = digest.intervals.iter();
    all.filter(|interval| interval.phase == phase.as_str())
        .collect()
}

struct Desk<'a> {
    before: Side<'a>,
    after: Side<'a>,
    random: Xoshiro256PlusPlus,
    rows: Vec<Row>,
}

fn ratio(estimate: Estimate) -> Ratio {
    Ratio {
        value: estimate.value,
        low: estimate.low,
        high: estimate.high,
    }
}

/// A change counts if all of its interval is beyond the margin, and if it is large enough to be
/// noticed at all.
fn changed(ratio: Estimate, difference: Estimate, least: f64) -> Change {
    if ratio.low > 1.0 + MARGIN && difference.low > least {
        Change::Worse
    } else if ratio.high < 1.0 / (1.0 + MARGIN) && difference.high < -least {
        Change::Better
    } else {
        Change::Same
    }
}

impl Desk<'_> {
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
            (row.before, row.after) = (Some(b), Some(a));
            row.change = if a - b > LEAST {
                Change::Worse
            } else if b - a > LEAST {
                Change::Better
            } else {
                Change::Same
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
        let enough = b.len() >= MIN_SAMPLES && a.len() >= MIN_SAMPLES;
        let compared = enough.then(|| {
            compare_quantiles(
                &histograms(before, metric),
                &histograms(after, metric),
                quantiles,
                &mut self.random,
            )
        });
        let compared = compared.flatten();
        let slack = self.after.plan.checks.slack.as_micros() as f64;
        for (index, (name, quantile)) in QUANTILES.into_iter().enumerate() {
            let mut row = self.row(phase, format!("{}.{name}", metric.as_str()), "us");
            row.before = (!b.is_empty()).then(|| b.value_at_quantile(quantile) as f64);
            row.after = (!a.is_empty()).then(|| a.value_at_quantile(quantile) as f64);
            match &compared {
                Some(compared) => {
                    let one = &compared[index];
                    row.ratio = Some(ratio(one.ratio()));
                    row.change = changed(one.strict_ratio(), one.difference(1.0), slack);
                }
                None => {
                    row.note = Some(format!(
                        "{} and {} samples, {MIN_SAMPLES} needed in each run",
                        b.len(),
                        a.len()
                    ));
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
        match compare_medians(&b, &a, &mut self.random) {
            Some(compared) => {
                let (times, difference) = (compared.ratio(), compared.difference(1.0));
                // From nothing there is no ratio, only a difference.
                if compared.value.0 >= 1.0 || unit == "share" && compared.value.0 > 0.0 {
                    row.ratio = Some(ratio(times));
                }
                row.change = if difference.low > least {
                    Change::Worse
                } else if difference.high < -least {
                    Change::Better
                } else {
                    Change::Same
                };
            }
            None => row.note = Some("not seen long enough in both runs".to_owned()),
        }
        self.rows.push(row);
    }
}
