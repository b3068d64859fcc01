//! What the record of a scenario must show beside its verdict: levels and counts. A simulated run and a run in
//! real time must show the same.

use serde_json::Value;

use super::{count, level, outcome};

/// The assertions about a scenario's record, which panic with what is wrong. `None` if there are none.
pub(crate) fn look(scenario: &str) -> Option<fn(&str, &Value)> {
    Some(match scenario {
        "mixed-devices.toml" => |_, record| mixed(record),
        "activity.toml" => |_, record| users_at_work(record),
        "healthy.toml" => |_, record| healthy(record),
        "stranded-no-recycle.toml" => |_, record| dead(record),
        "kb-4337638.toml" => |_, record| five_curves(record),
        "two-servers.toml" => |_, record| one_after_the_other(record),
        name if name.starts_with("symptom-") => symptom_alone,
        _ => return None,
    })
}

/// A third of 500 are in the tunnel, and all come back by new connections.
fn mixed(record: &Value) {
    assert!(level(record, "recycle", "devices.away", "max") >= 150.0);
    assert!(count(record, "recycle", "connects") >= 150);
    assert!(count(record, "baseline", "hanging_syncs") > 100);
}

/// Every action happens, and every answer is right.
fn users_at_work(record: &Value) {
    let acts = |name: &str| -> u64 {
        let phases = record["phases"].as_array().unwrap();
        let counts = phases.iter().map(|phase| phase["counts"][name].as_u64());
        counts.map(Option::unwrap_or_default).sum()
    };
    for action in [
        "send",
        "reply",
        "forward",
        "read",
        "flag",
        "delete",
        "move",
        "calendar",
        "contact",
        "attachment",
        "search",
    ] {
        assert!(acts(&format!("act_{action}")) > 10, "{action}");
    }
    assert_eq!(acts("malformed"), 0);
}

/// The five curves of `kb-4337638.toml`, all flat.
fn healthy(record: &Value) {
    for (gauge, noise) in [
        ("server.active_requests", 100.0),
        ("server.private_bytes", f64::from(30 << 20)),
        ("server.gc_time", 0.1),
        ("tcp.outgoing.ports", 100.0),
        ("tcp.outgoing.close_wait", 40.0),
    ] {
        let before = level(record, "baseline", gauge, "median");
        let aged = level(record, "aging", gauge, "last");
        assert!(aged < before + noise, "{gauge}: {before} → {aged}");
    }
}

/// In the phase that should show recovery most requests are refused, and mails wait.
fn dead(record: &Value) {
    for check in ["restored", "released", "cost"] {
        assert_eq!(outcome(record, check), "skipped", "{check}");
    }
    let (refused, answered) = (
        count(record, "recovered", "http_errors"),
        count(record, "recovered", "syncs"),
    );
    assert!(refused > 200 && refused > answered, "{refused} {answered}");
    let due = |phase| level(record, phase, "devices.mails_due", "median");
    let (before, dead) = (due("baseline"), due("recovered"));
    assert!(dead > 200.0 && dead > 10.0 * before, "{before} {dead}");
}

/// The five curves rise together until nobody can connect, and fall at the recycle.
fn five_curves(record: &Value) {
    for (gauge, growth) in [
        ("server.active_requests", 2.0),
        ("server.private_bytes", 5.0),
        ("server.gc_time", 5.0),
        ("tcp.outgoing.ports", 3.0),
    ] {
        let before = level(record, "baseline", gauge, "median");
        let aged = level(record, "aging", gauge, "max");
        let after = level(record, "recovered", gauge, "median");
        assert!(aged > growth * before, "{gauge}: {before} → {aged}");
        let back = before + 0.2 * (aged - before);
        assert!(after < back, "{gauge}: {before} → {aged} → {after}");
    }
    let close_wait = |phase, figure| level(record, phase, "tcp.outgoing.close_wait", figure);
    assert_eq!(close_wait("baseline", "median"), 0.0);
    assert!(close_wait("aging", "last") > 1000.0);
    // The worker looks for closed connections twice a second.
    assert!(close_wait("recovered", "last") < 20.0);
    // All 1,700 ports are taken, and requests are refused for it.
    assert!(level(record, "aging", "tcp.outgoing.ports", "last") > 1650.0);
    assert!(count(record, "aging", "http_errors") > 500);
    assert_eq!(count(record, "recovered", "http_errors"), 0);
}

/// Each server recycles once, two days of pool life (4 s) apart, give or take 2 s.
fn one_after_the_other(record: &Value) {
    assert_eq!(record["targets"].as_array().unwrap().len(), 2);
    let recycles = record["recycles"].as_array().unwrap();
    let times: Vec<f64> = recycles
        .iter()
        .map(|recycle| recycle["t"].as_f64().unwrap())
        .collect();
    let [first, second] = times[..] else {
        panic!("expected two recycles, found {times:?}");
    };
    let apart = second - first;
    assert!((2.0..=6.0).contains(&apart), "{apart} s apart");
}

/// A scenario of one symptom shows it, and none of the others but the Active Requests of what strands.
fn symptom_alone(scenario: &str, record: &Value) {
    let name = scenario.trim_start_matches("symptom-");
    let name = name.trim_end_matches(".toml");
    let grown =
        |gauge| level(record, "aging", gauge, "last") - level(record, "baseline", gauge, "median");
    let shown = [
        (
            "memory",
            grown("server.private_bytes") > f64::from(40 << 20),
        ),
        ("gc", grown("server.gc_time") > 0.08),
        ("close-wait", grown("tcp.outgoing.close_wait") > 100.0),
        (
            "queue-full",
            level(record, "aging", "server.queue", "max") >= 10.0,
        ),
    ];
    for (symptom, is_shown) in shown {
        assert_eq!(is_shown, symptom == name, "{symptom} in {name}");
    }
    assert!(grown("server.active_requests") > 80.0, "{name}");
    let refused = count(record, "aging", "http_errors") > 20;
    assert_eq!(refused, matches!(name, "ports" | "queue-full"), "{name}");
    // What 80 held Pings need and no more: a request in the front end and one in the back end, a port for
    // each.
    for (gauge, needed) in [
        ("server.active_requests", 160.0),
        ("tcp.outgoing.ports", 80.0),
    ] {
        let after = level(record, "recovered", gauge, "median");
        assert!(after < 1.1 * needed, "{name}: {gauge} {after}");
    }
}
