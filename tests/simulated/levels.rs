//! What a scenario is to show beside its verdict: levels and counts of its record.

use serde_json::Value;

/// Looks at what a scenario shows; panics with what is wrong. `None` for one without such a look.
pub(crate) fn look(scenario: &str) -> Option<fn(&str, &Value)> {
    Some(match scenario {
        "mixed-devices.toml" => |_, record| mixed(record),
        "activity.toml" => |_, record| users_at_work(record),
        "healthy.toml" => |_, record| healthy(record),
        "stranded-no-recycle.toml" => |_, record| dead(record),
        "kb-4337638.toml" => |_, record| five_curves(record),
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
    assert!(level(record, "aging", "tcp.outgoing.close_wait", "last") > 1000.0);
    assert!(level(record, "recovered", "tcp.outgoing.close_wait", "last") < 20.0);
    assert!(level(record, "aging", "tcp.outgoing.ports", "last") > 1650.0);
    assert!(count(record, "aging", "http_errors") > 500);
    assert_eq!(count(record, "recovered", "http_errors"), 0);
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

fn outcome(record: &Value, check: &str) -> String {
    let checks = record["checks"].as_array().unwrap();
    let found = checks.iter().find(|entry| entry["name"] == check).unwrap();
    found["outcome"].as_str().unwrap().to_owned()
}

/// A figure of a gauge in a phase.
fn level(record: &Value, phase: &str, gauge: &str, figure: &str) -> f64 {
    let value = &summary(record, phase)["levels"][gauge][figure];
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{phase} {gauge} {figure}"))
}

/// How often something happened in a phase.
fn count(record: &Value, phase: &str, name: &str) -> u64 {
    let counts = &summary(record, phase)["counts"];
    assert!(counts.is_object());
    counts[name].as_u64().unwrap_or(0)
}

fn summary<'a>(record: &'a Value, phase: &str) -> &'a Value {
    let phases = record["phases"].as_array().unwrap();
    phases.iter().find(|one| one["phase"] == phase).unwrap()
}
