//! A worker that is recycled keeps what it had gathered until shutdownTimeLimit.

use easload::run::simulatable;
use scenario::{Plan, parse};
use verdict::judge::{Check, judge};
use verdict::timeline::Interval;

use crate::outside_only::timeline;
use crate::scenarios::seeds;
use crate::world::play;

/// The default scenario with an old worker that ends so long after the recycle began.
fn plan(limit: &str) -> Plan {
    let text = include_str!("../../scenarios/recycle-restores-sync.toml");
    let found = "shutdown_time_limit = \"4s\"";
    assert!(text.contains(found));
    let text = text.replacen(found, &format!("shutdown_time_limit = \"{limit}\""), 1);
    simulatable(parse("limit.toml", &text).unwrap()).plan
}

/// The outcome of `released`, and the reason, of these seconds.
fn released(plan: &Plan, seconds: Vec<Interval>) -> (String, String) {
    let checks: Vec<Check> = judge(plan, &seconds.into_iter().collect());
    let mut checks = checks.into_iter();
    let check = checks.find(|check| check.name == "released").unwrap();
    (check.outcome.as_str().to_owned(), check.reason)
}

#[test]
fn old_worker_that_ends_late_lets_go_late() {
    for seed in 1..=seeds() {
        // In the recycle phase, in the recovered phase, and after the run.
        for (limit, outcome) in [("4s", "pass"), ("15s", "pass"), ("60s", "no data")] {
            let plan = plan(limit);
            let seconds = timeline(&play(plan.clone(), seed));
            let found = released(&plan, seconds);
            assert_eq!(found.0, outcome, "{limit}, seed {seed}: {}", found.1);
            let is_told = found.1.contains("longer than shutdownTimeLimit");
            assert_eq!(
                is_told,
                outcome == "no data",
                "{limit}, seed {seed}: {}",
                found.1
            );
        }
    }
}

/// Without the number of workers and their process ids.
#[test]
fn old_worker_that_nobody_counts_is_no_residue() {
    for seed in 1..=seeds() {
        for (limit, outcome) in [("4s", "pass"), ("60s", "no data")] {
            let plan = plan(limit);
            let mut seconds = timeline(&play(plan.clone(), seed));
            for second in &mut seconds {
                let is_of_worker =
                    |name: &str| name == "server.workers" || name.starts_with("server.active.");
                second.gauges.retain(|name, _| !is_of_worker(name));
            }
            let found = released(&plan, seconds);
            assert_eq!(found.0, outcome, "{limit}, seed {seed}: {}", found.1);
            let is_told = found.1.contains("no source shows whether it had ended");
            assert_eq!(
                is_told,
                outcome == "no data",
                "{limit}, seed {seed}: {}",
                found.1
            );
        }
    }
}

#[test]
fn second_worker_that_comes_later_is_not_the_old_one() {
    for seed in 1..=seeds() {
        let plan = plan("4s");
        let mut seconds = timeline(&play(plan.clone(), seed));
        let mut recovered = seconds.iter_mut().filter(|one| one.phase == "recovered");
        let last = recovered.next_back().unwrap();
        last.gauges.insert("server.workers".to_owned(), 2.0);
        let found = released(&plan, seconds);
        assert_eq!(found.0, "pass", "seed {seed}: {}", found.1);
    }
}

/// WAS kills a worker at shutdownTimeLimit. One that is there for longer releases nothing.
#[test]
fn old_worker_that_outlives_its_limit_is_no_excuse() {
    for seed in 1..=seeds() {
        let seconds = timeline(&play(plan("60s"), seed));
        let found = released(&plan("4s"), seconds);
        assert_eq!(found.0, "FAIL", "seed {seed}: {}", found.1);
    }
}
