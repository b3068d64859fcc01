//! A worker that is recycled keeps what it had gathered until shutdownTimeLimit.

use easload::run::simulatable;
use easload::scenario::parse;

use crate::scenarios::seeds;
use crate::world::play;

/// The outcome of `released`, and the reason, where the old worker ends so long after the recycle began.
fn released(limit: &str, seed: u64) -> (String, String) {
    let text = include_str!("../../scenarios/recycle-restores-sync.toml");
    let found = "shutdown_time_limit = \"4s\"";
    assert!(text.contains(found));
    let text = text.replacen(found, &format!("shutdown_time_limit = \"{limit}\""), 1);
    let plan = simulatable(parse("limit.toml", &text).unwrap()).plan;
    let record = play(plan, seed).record();
    let mut checks = record["checks"].as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "released").unwrap();
    ["outcome", "reason"]
        .map(|name| check[name].as_str().unwrap().to_owned())
        .into()
}

#[test]
fn old_worker_that_ends_late_lets_go_late() {
    for seed in 1..=seeds() {
        // In the recycle phase, in the recovered phase, and after the run.
        for (limit, outcome) in [("4s", "pass"), ("15s", "pass"), ("60s", "no_data")] {
            let found = released(limit, seed);
            assert_eq!(found.0, outcome, "{limit}, seed {seed}: {}", found.1);
            let is_told = found.1.contains("longer than shutdownTimeLimit");
            assert_eq!(
                is_told,
                outcome == "no_data",
                "{limit}, seed {seed}: {}",
                found.1
            );
        }
    }
}
