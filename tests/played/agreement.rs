//! A run in real time and a simulation of the same scenario and seed agree. `docs/simulation.md` names the
//! bounds.

use serde_json::Value;

use crate::record::{count, level, summary};

/// What the machine may add to a latency of a healthy server. In a simulation, work takes no time. The checks of
/// the scenario allow the same for the noise of a busy machine.
const WORK: f64 = 50_000.0;
/// By how much a latency of a healthy server may be less than in the simulation: four crossings of the model's
/// network (4 ms), and five standard errors of the median of 900 notifications, each of which comes at any
/// moment of the 200 ms between two looks at a mailbox (17 ms).
const EARLIER: f64 = 21_000.0;
/// The factor between latencies of an aged server. They are the remainder of one or two pauses of its heap,
/// which depend on what was stranded by then. Beside other builds on two cores, 1.7 was the largest.
const AGED: f64 = 2.5;
/// The factor between requests stranded at the end of aging. Each abandoned Ping strands one, and devices
/// abandon fewer if the machine makes them wait.
const STRANDED: f64 = 1.3;
/// The factor between cut Pings. These are some 45 that happen to be held when the old worker is killed: five
/// standard deviations of the difference of two counts are as many again.
const CUT: f64 = 2.0;

/// What the verdict and the outcomes of the checks disagree on.
pub(crate) fn of_verdicts(real: &Value, simulated: &Value) -> Vec<String> {
    let outcomes = |record: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let checks = record["checks"].as_array().unwrap().iter();
        let checks = checks.map(|check| (text(&check["name"]), text(&check["outcome"])));
        [("verdict".to_owned(), text(&record["verdict"]))]
            .into_iter()
            .chain(checks)
            .collect()
    };
    let (real, simulated) = (outcomes(real), outcomes(simulated));
    if real.len() != simulated.len() {
        return vec![format!(
            "checks: {real:?} in real time, {simulated:?} simulated"
        )];
    }
    let pairs = real.iter().zip(&simulated);
    pairs
        .filter(|(real, simulated)| real != simulated)
        .map(|(real, simulated)| format!("{real:?} in real time, {simulated:?} simulated"))
        .collect()
}

/// Where a figure of the real run may lie, given the simulated one.
#[derive(Clone, Copy)]
enum Bound {
    /// Between these distances below and above.
    Within(f64, f64),
    /// Less by this factor at most, and more by it at most.
    Factor(f64),
}

impl Bound {
    fn range(self, simulated: f64) -> std::ops::RangeInclusive<f64> {
        match self {
            Self::Within(below, above) => simulated - below..=simulated + above,
            Self::Factor(factor) => simulated / factor..=simulated * factor,
        }
    }
}

/// What latencies, stranded requests and cut Pings of the default scenario disagree on.
pub(crate) fn of_figures(real: &Value, simulated: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, bound: Bound, figure: &dyn Fn(&Value) -> f64| {
        let range = bound.range(figure(simulated));
        let real = figure(real);
        if !range.contains(&real) {
            found.push(format!(
                "{what}: {real} in real time, expected {range:?} from the simulation"
            ));
        }
    };
    let healthy = Bound::Within(EARLIER, WORK);
    for (phase, metric, percentile, bound) in [
        ("baseline", "sync", "p50", healthy),
        ("baseline", "sync", "p95", healthy),
        ("baseline", "notification", "p50", healthy),
        ("baseline", "notification", "p95", healthy),
        // Not the median of Sync: it is a few milliseconds as long as less than half of the time goes into pauses,
        // which is so for most of the phase, and hundreds from there on.
        ("aging", "sync", "p95", Bound::Factor(AGED)),
        ("aging", "notification", "p50", Bound::Factor(AGED)),
        ("aging", "notification", "p95", Bound::Factor(AGED)),
        ("recovered", "sync", "p50", healthy),
        ("recovered", "sync", "p95", healthy),
        ("recovered", "notification", "p50", healthy),
        ("recovered", "notification", "p95", healthy),
    ] {
        compare(
            &format!("{metric} {percentile} in {phase}, µs"),
            bound,
            &|record| latency(record, phase, metric, percentile),
        );
    }
    compare(
        "stranded at the end of aging",
        Bound::Factor(STRANDED),
        &|record| level(record, "aging", "stranded", "last"),
    );
    compare("Pings cut", Bound::Factor(CUT), &|record| {
        let phases = ["recycle", "recovered"].iter();
        let cut: u64 = phases.map(|phase| count(record, phase, "pings_cut")).sum();
        cut as f64
    });
    found
}

/// A percentile of a latency in a phase, in microseconds.
fn latency(record: &Value, phase: &str, metric: &str, percentile: &str) -> f64 {
    let value = &summary(record, phase)["latencies"][metric][percentile];
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{phase} {metric} {percentile}"))
}

/// A record with what is compared: the figures of a run of the default scenario.
fn example() -> Value {
    let phase = |name: &str, sync: [u32; 2], notification: [u32; 2], stranded: f64, cut: u64| {
        serde_json::json!({
            "phase": name,
            "latencies": {
                "sync": {"p50": sync[0], "p95": sync[1]},
                "notification": {"p50": notification[0], "p95": notification[1]},
            },
            "levels": {"stranded": {"last": stranded}},
            "counts": {"pings_cut": cut},
        })
    };
    serde_json::json!({
        "verdict": "passed",
        "checks": [
            {"name": "symptom", "outcome": "pass"},
            {"name": "restored", "outcome": "pass"},
        ],
        "phases": [
            phase("baseline", [4_000, 4_000], [100_000, 188_000], 0.0, 0),
            phase("aging", [4_000, 773_000], [150_000, 776_000], 1734.0, 0),
            phase("recycle", [4_000, 36_000], [98_000, 198_000], 0.0, 48),
            phase("recovered", [4_000, 4_000], [105_000, 192_000], 0.0, 0),
        ],
    })
}

/// The example with another value at a place.
fn with(place: &str, value: impl Into<Value>) -> Value {
    let mut record = example();
    *record.pointer_mut(place).expect(place) = value.into();
    record
}

#[test]
fn each_disagreement_of_verdicts_is_found() {
    assert_eq!(of_verdicts(&example(), &example()), [""; 0]);
    for (place, value) in [
        ("/verdict", "inconclusive"),
        ("/checks/0/outcome", "fail"),
        ("/checks/1/outcome", "no_data"),
        ("/checks/1/name", "released"),
    ] {
        let found = of_verdicts(&with(place, value), &example());
        assert_eq!(found.len(), 1, "{place}: {found:?}");
        assert!(found[0].contains(value), "{found:?}");
    }
    let mut fewer = example();
    fewer["checks"].as_array_mut().unwrap().pop();
    assert_eq!(of_verdicts(&example(), &fewer).len(), 1);
}

#[test]
fn each_disagreement_of_figures_is_found() {
    // What a machine adds, and what chance moves.
    for (place, value) in [
        ("/phases/0/latencies/sync/p50", 900),
        ("/phases/0/latencies/sync/p95", 50_000),
        ("/phases/1/latencies/sync/p95", 1_200_000),
        ("/phases/3/latencies/notification/p50", 95_000),
        ("/phases/1/levels/stranded/last", 1_500),
        ("/phases/2/counts/pings_cut", 35),
    ] {
        let found = of_figures(&with(place, value), &example());
        assert_eq!(found, [""; 0], "{place}");
    }
    for (place, value) in [
        ("/phases/0/latencies/sync/p95", 60_000),
        ("/phases/0/latencies/notification/p50", 70_000),
        // No symptom.
        ("/phases/1/latencies/sync/p95", 4_000),
        ("/phases/1/latencies/notification/p50", 400_000),
        ("/phases/3/latencies/sync/p50", 60_000),
        ("/phases/3/latencies/notification/p95", 250_000),
        // Each counted twice, or half of them forgotten.
        ("/phases/1/levels/stranded/last", 3_468),
        ("/phases/1/levels/stranded/last", 867),
        ("/phases/2/counts/pings_cut", 97),
        ("/phases/3/counts/pings_cut", 97),
        ("/phases/2/counts/pings_cut", 0),
    ] {
        let found = of_figures(&with(place, value), &example());
        assert_eq!(found.len(), 1, "{place}: {found:?}");
    }
}
