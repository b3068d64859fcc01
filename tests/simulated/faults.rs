//! Faults that a seed draws: what must hold whatever the server and the network do.

use crate::scenarios::seeds;
use crate::world::{plan, play_with_faults};

/// [`play_with_faults`] panics with each invariant that is broken.
#[test]
fn invariants_hold_whatever_faults_strike() {
    for scenario in ["symptom-active-requests.toml", "symptom-ports.toml"] {
        for seed in 1..=4 * seeds() {
            let record = play_with_faults(plan(scenario), seed).record();
            assert_eq!(record["state"], "complete", "{scenario}, seed {seed}");
        }
    }
}

/// Scenarios and seeds that once broke an invariant.
const ONCE_BROKEN: [(&str, u64); 1] = [
    // A Sync that had been given up reached the server late, and an empty Sync repeated it.
    ("mixed-devices.toml", 5),
];

#[test]
fn seeds_that_once_broke_an_invariant_keep_it() {
    for (scenario, seed) in ONCE_BROKEN {
        let record = play_with_faults(plan(scenario), seed).record();
        assert_eq!(record["state"], "complete", "{scenario}, seed {seed}");
    }
}

#[test]
fn faults_of_a_seed_are_the_same_each_time() {
    let scenario = "symptom-active-requests.toml";
    let records = [1, 1, 2].map(|seed| play_with_faults(plan(scenario), seed).record());
    assert_eq!(records[0]["phases"], records[1]["phases"]);
    assert_ne!(records[0]["phases"], records[2]["phases"]);
    // The faults are felt.
    let calm = crate::world::play(plan(scenario), 1).record();
    assert_ne!(records[0]["phases"], calm["phases"]);
    let is_marked =
        |record: &serde_json::Value| record["problems"].to_string().contains("--faults any");
    assert!(records.iter().all(is_marked));
    assert!(!is_marked(&calm));
}
