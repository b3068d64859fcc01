//! Every scenario file gives its verdict in simulation, whatever the seed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::record::levels::look;
use crate::world::{plan, play};

/// Seeds of each scenario. `EASLOAD_SEEDS` sets another number.
pub(crate) fn seeds() -> u64 {
    /// Those that `cargo test` plays take some 40 s of processor time for each seed, of which continuous integration
    /// plays 20. The large ones take 80 s more.
    const FEW: u64 = 1;
    match std::env::var("EASLOAD_SEEDS") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("EASLOAD_SEEDS: expected a number, found `{text}`")),
        Err(_) => FEW,
    }
}

/// What a scenario is to give: the verdict, the checks that fail, and those that pass. Others are not looked
/// at: a server that nobody can reach has no latencies to judge.
struct Expected {
    scenario: &'static str,
    verdict: &'static str,
    fail: &'static [&'static str],
    pass: &'static [&'static str],
}

const ALL: &[&str] = &[
    "symptom",
    "recycle seen",
    "restored",
    "released",
    "cost",
    "nothing lost",
];
const CALM: &[&str] = &["symptom", "recycle seen", "nothing lost"];
const LEVELS: &[&str] = &["recycle seen", "released", "nothing lost"];

const fn passes(scenario: &'static str, pass: &'static [&'static str]) -> Expected {
    Expected {
        scenario,
        verdict: "passed",
        fail: &[],
        pass,
    }
}

const fn fails(scenario: &'static str, fail: &'static [&'static str]) -> Expected {
    Expected {
        scenario,
        verdict: "failed",
        fail,
        pass: &[],
    }
}

/// Phones that strand requests, and recycles that do or do not cure it.
const STRANDED: &[Expected] = &[
    passes("recycle-restores-sync.toml", ALL),
    passes("kb-4337638.toml", ALL),
    passes("two-servers.toml", &["recycle seen", "nothing lost"]),
    Expected {
        pass: &["symptom"],
        // Devices get 502 until the end: their mail is not asked for, which is no loss.
        ..fails("stranded-no-recycle.toml", &["recycle seen"])
    },
];

/// Devices of many kinds, users at work, and a healthy server.
const DEVICES: &[Expected] = &[
    passes("mixed-devices.toml", ALL),
    passes(
        "activity.toml",
        &["symptom", "recycle seen", "restored", "nothing lost"],
    ),
    passes("healthy.toml", CALM),
];

const SYMPTOMS: &[Expected] = &[
    passes("symptom-active-requests.toml", LEVELS),
    passes("symptom-memory.toml", LEVELS),
    passes("symptom-gc.toml", LEVELS),
    passes("symptom-ports.toml", LEVELS),
    passes("symptom-close-wait.toml", LEVELS),
    passes("symptom-queue-full.toml", LEVELS),
];

const CONTROLS: &[Expected] = &[
    fails("control-no-recycle.toml", &["recycle seen"]),
    fails("control-does-not-help.toml", &["released"]),
    fails("control-loses-mail.toml", &["nothing lost"]),
    fails("control-still-slow.toml", &["restored"]),
    fails("control-slow-recovery.toml", &["cost"]),
    fails("control-late-for-the-policy.toml", &["recycle seen"]),
    Expected {
        scenario: "control-no-symptom.toml",
        verdict: "inconclusive",
        fail: &[],
        pass: &[],
    },
];

/// Files for real servers. In a simulation a mock stands for each.
const OUTSIDE: &[Expected] = &[
    // It is for a SOGo whose workers are too few. The mock does not starve.
    Expected {
        pass: &["recycle seen", "nothing lost"],
        ..fails(
            "sogo-starved.toml",
            &["devices.mails_due.p50.aging >= 1.5 * baseline"],
        )
    },
    passes("real-server.toml", CALM),
];

/// Each takes some 40 s of processor time for each seed.
const LARGE: &[Expected] = &[
    // The mock has memory enough for what gathers in half an hour: it is released, and has slowed nothing down.
    Expected {
        scenario: "exchange-lab.toml",
        verdict: "inconclusive",
        fail: &[],
        pass: &[
            "recycle seen",
            "restored",
            "released",
            "cost",
            "nothing lost",
        ],
    },
    passes("mixed-5000.toml", ALL),
];

fn names(record: &Value, outcome: &str) -> Vec<String> {
    let checks = record["checks"].as_array().unwrap().iter();
    let wanted = checks.filter(|check| check["outcome"] == outcome);
    wanted
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What is wrong with the outcomes of a scenario with that seed, if anything is.
fn wrong(one: &Expected, seed: u64) -> Option<String> {
    let record = play(plan(one.scenario), seed).record();
    if let Some(look) = look(one.scenario) {
        println!("{}, seed {seed}", one.scenario);
        look(one.scenario, &record);
    }
    let (failed, passed) = (names(&record, "fail"), names(&record, "pass"));
    let missing: Vec<_> = one
        .pass
        .iter()
        .filter(|name| !passed.iter().any(|passed| passed == *name))
        .collect();
    let is_wrong = record["verdict"] != one.verdict || failed != one.fail || !missing.is_empty();
    is_wrong.then(|| {
        format!(
            "{}: {} instead of {}; failed: {failed:?}; expected to pass: {missing:?}; see it with \
             `easload simulate scenarios/{} --seed {seed}`",
            one.scenario, record["verdict"], one.verdict, one.scenario
        )
    })
}

/// All wrong outcomes at once, each with its seed. The seeds of a long scenario share the processors.
fn assert_verdicts(expected: &[Expected]) {
    let runs: Vec<_> = expected
        .iter()
        .flat_map(|one| (1..=seeds()).map(move |seed| (one, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let play = || {
        let mut found = Vec::new();
        while let Some((one, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(wrong(one, *seed));
        }
        found
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let wrong: Vec<String> = thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        let found = players.into_iter().map(|player| match player.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        found.flatten().collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn stranding_is_seen_and_ends_with_the_recycle_if_there_is_one() {
    assert_verdicts(STRANDED);
}

#[test]
fn devices_of_many_kinds_and_a_healthy_server_pass() {
    assert_verdicts(DEVICES);
}

#[test]
fn files_for_real_servers_are_played_on_a_mock() {
    assert_verdicts(OUTSIDE);
}

#[test]
#[ignore = "more than a minute of processor time for each seed"]
fn large_scenarios_give_their_verdicts() {
    assert_verdicts(LARGE);
}

#[test]
fn each_symptom_ends_with_the_recycle() {
    assert_verdicts(SYMPTOMS);
}

#[test]
fn each_negative_control_fails_exactly_its_check() {
    assert_verdicts(CONTROLS);
}

/// A scenario that is in no table is in no test.
#[test]
fn every_scenario_file_is_in_a_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let tables = [STRANDED, DEVICES, SYMPTOMS, CONTROLS, OUTSIDE, LARGE];
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_played = tables
            .iter()
            .any(|table| table.iter().any(|one| one.scenario == name));
        assert!(is_played, "{name}");
    }
}
