//! Reads `run.json`: the same readers and assertions for runs in real time and in simulation.

use serde_json::Value;

pub(crate) mod levels;

/// The outcome of a check.
pub(crate) fn outcome(record: &Value, check: &str) -> String {
    let checks = record["checks"].as_array().unwrap();
    let found = checks.iter().find(|entry| entry["name"] == check).unwrap();
    found["outcome"].as_str().unwrap().to_owned()
}

/// A figure of a gauge in a phase.
pub(crate) fn level(record: &Value, phase: &str, gauge: &str, figure: &str) -> f64 {
    let value = &summary(record, phase)["levels"][gauge][figure];
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{phase} {gauge} {figure}"))
}

/// How often something happened in a phase.
pub(crate) fn count(record: &Value, phase: &str, name: &str) -> u64 {
    let counts = &summary(record, phase)["counts"];
    assert!(counts.is_object());
    counts[name].as_u64().unwrap_or(0)
}

/// What is summed up of a phase.
pub(crate) fn summary<'a>(record: &'a Value, phase: &str) -> &'a Value {
    let phases = record["phases"].as_array().unwrap();
    phases.iter().find(|one| one["phase"] == phase).unwrap()
}
