//! Each rule finds its mistake, and not the right setting.

use jiff::civil::time;

use super::*;

fn context(exchange: Exchange) -> Context {
    Context {
        exchange,
        devices: Some(5000),
        heartbeat: (470, 3540),
        office: (time(7, 0, 0, 0), time(19, 0, 0, 0)),
    }
}

fn pool(attributes: &str, inner: &str) -> Pool {
    let text = format!(
        "<configuration>\n<system.applicationHost>\n<applicationPools>\n\
         <add name=\"MSExchangeSyncAppPool\" {attributes}>\n{inner}\n</add>\n\
         </applicationPools>\n</system.applicationHost>\n</configuration>\n"
    );
    crate::read_pool("f", text.as_bytes(), "MSExchangeSyncAppPool").unwrap()
}

/// As Exchange ships it, with another `<recycling>`.
fn exchange(recycling: &str) -> Pool {
    pool(
        "",
        &format!(
            "<processModel idleTimeout=\"00:00:00\" pingingEnabled=\"false\" />\n{recycling}\n\
             <failure rapidFailProtection=\"false\" />"
        ),
    )
}

fn ids(pool: &Pool, which: Exchange) -> Vec<(&'static str, Severity)> {
    let mut ids: Vec<_> = lint("f", pool, &context(which))
        .into_iter()
        .map(|finding| (finding.rule, finding.severity))
        .collect();
    ids.sort_unstable();
    ids
}

fn has(pool: &Pool, id: &str) -> bool {
    ids(pool, Exchange::Affected)
        .iter()
        .any(|(rule, _)| *rule == id)
}

#[test]
fn what_exchange_ships_lacks_the_workaround() {
    let shipped = exchange("<recycling><periodicRestart time=\"00:00:00\" /></recycling>");
    let expected = |severity| {
        vec![
            ("config-change", Severity::Note),
            ("herd", Severity::Note),
            ("no-recycle", severity),
        ]
    };
    assert_eq!(ids(&shipped, Exchange::Affected), expected(Severity::Error));
    assert_eq!(
        ids(&shipped, Exchange::Unknown),
        expected(Severity::Warning)
    );
    let fixed = ids(&shipped, Exchange::Fixed);
    assert!(!fixed.iter().any(|(rule, _)| *rule == "no-recycle"));
    let finding = &lint("f", &shipped, &context(Exchange::Affected))[0];
    assert_eq!((finding.rule, finding.line), ("no-recycle", Some(6)));
}

#[test]
fn a_good_nightly_schedule_has_notes_only() {
    let good = exchange(
        "<recycling><periodicRestart time=\"00:00:00\"><schedule><clear/><add value=\"03:00:00\"/>\
         </schedule></periodicRestart></recycling>",
    );
    let found = ids(&good, Exchange::Affected);
    assert!(
        found
            .iter()
            .all(|(_, severity)| *severity == Severity::Note),
        "{found:?}"
    );
    assert!(has(&good, "pings-cut") && has(&good, "health-checker"));
    let fixed = ids(&good, Exchange::Fixed);
    assert!(fixed.iter().any(|(rule, _)| *rule == "fixed"));
}

#[test]
fn each_mistake_has_its_rule_and_the_right_setting_has_not() {
    let periodic = |attributes: &str| {
        exchange(&format!(
            "<recycling><periodicRestart {attributes} /></recycling>"
        ))
    };
    let schedule = |times: &str| {
        exchange(&format!(
            "<recycling><periodicRestart time=\"00:00:00\"><schedule>{times}</schedule>\
             </periodicRestart></recycling>"
        ))
    };
    let night = "<add value=\"03:00:00\"/>";
    let recycling = |attributes: &str| {
        exchange(&format!(
            "<recycling {attributes}><periodicRestart time=\"00:00:00\"><schedule>{night}\
             </schedule></periodicRestart></recycling>"
        ))
    };
    let process = |attributes: &str| {
        pool(
            "",
            &format!(
                "<processModel idleTimeout=\"00:00:00\" pingingEnabled=\"false\" {attributes} /><failure rapidFailProtection=\"false\" />"
            ),
        )
    };
    let cases: Vec<(&str, Pool, Pool)> = vec![
        (
            "interval-long",
            periodic("time=\"21.00:00:00\""),
            periodic("time=\"1.00:00:00\""),
        ),
        (
            "interval-short",
            periodic("time=\"00:30:00\""),
            periodic("time=\"1.00:00:00\""),
        ),
        (
            "interval-short",
            schedule("<add value=\"03:00:00\"/><add value=\"03:20:00\"/>"),
            schedule(night),
        ),
        (
            "interval-drifts",
            periodic("time=\"1.05:00:00\""),
            periodic("time=\"1.00:00:00\""),
        ),
        (
            "interval-follows-start",
            periodic("time=\"1.00:00:00\""),
            schedule(night),
        ),
        (
            "two-clocks",
            exchange(
                "<recycling><periodicRestart><schedule><add value=\"03:00:00\"/></schedule></periodicRestart></recycling>",
            ),
            schedule(night),
        ),
        (
            "office-hours",
            schedule("<add value=\"12:00:00\"/>"),
            schedule(night),
        ),
        (
            "clock-change",
            schedule("<add value=\"02:30:00\"/>"),
            schedule(night),
        ),
        (
            "private-memory-unit",
            periodic("time=\"00:00:00\" privateMemory=\"6144\""),
            periodic("time=\"00:00:00\" privateMemory=\"6291456\""),
        ),
        (
            "private-memory-unit",
            periodic("time=\"00:00:00\" privateMemory=\"4294967295\""),
            periodic("time=\"00:00:00\" privateMemory=\"6291456\""),
        ),
        (
            "virtual-memory",
            periodic("time=\"00:00:00\" memory=\"6291456\""),
            schedule(night),
        ),
        (
            "requests-limit",
            periodic("time=\"00:00:00\" requests=\"100000\""),
            schedule(night),
        ),
        (
            "not-logged",
            recycling("logEventOnRecycle=\"Time, Memory\""),
            recycling("logEventOnRecycle=\"Schedule\""),
        ),
        (
            "no-overlap",
            recycling("disallowOverlappingRotation=\"true\""),
            recycling(""),
        ),
        (
            "config-change",
            recycling(""),
            recycling("disallowRotationOnConfigChange=\"true\""),
        ),
        (
            "shutdown-short",
            process("shutdownTimeLimit=\"00:00:05\""),
            process(""),
        ),
        (
            "shutdown-long",
            process("shutdownTimeLimit=\"01:00:00\""),
            process(""),
        ),
        (
            "startup-short",
            process("startupTimeLimit=\"00:00:10\""),
            process(""),
        ),
        ("web-garden", process("maxProcesses=\"4\""), process("")),
        (
            "idle-timeout",
            pool("", "<processModel pingingEnabled=\"false\" />"),
            process(""),
        ),
        (
            "health-ping",
            pool("", "<processModel idleTimeout=\"00:00:00\" />"),
            process(""),
        ),
        ("rapid-fail", pool("", ""), process("")),
        ("herd", process(""), pool("queueLength=\"10000\"", "")),
        (
            "tcp-level",
            pool(
                "",
                "<failure rapidFailProtection=\"false\" loadBalancerCapabilities=\"TcpLevel\" />",
            ),
            process(""),
        ),
    ];
    for (id, wrong, right) in cases {
        assert!(has(&wrong, id), "{id} is not found");
        assert!(!has(&right, id), "{id} is found where it is not");
    }
}

#[test]
fn servers_that_recycle_together_are_found() {
    let at = |time: &str| {
        exchange(&format!(
            "<recycling><periodicRestart><schedule><add value=\"{time}\"/></schedule>\
             </periodicRestart></recycling>"
        ))
    };
    let pools = [
        ("a".to_owned(), at("03:00:00")),
        ("b".to_owned(), at("03:30:00")),
        ("c".to_owned(), at("03:00:00")),
    ];
    let found = lint_together(&pools);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("a, c"), "{}", found[0].message);
    assert_eq!(lint_together(&pools[..2]), []);
}

#[test]
fn numbers_are_worked_out() {
    let limited = exchange(
        "<recycling><periodicRestart time=\"00:00:00\" requests=\"1000000\" /></recycling>",
    );
    let found = lint("f", &limited, &context(Exchange::Affected));
    let requests = found
        .iter()
        .find(|finding| finding.rule == "requests-limit")
        .unwrap();
    // 2 × 5000 × 86400 / 3540 = 244,068 a day.
    assert!(
        requests.message.contains("4.1 days"),
        "{}",
        requests.message
    );
    let cut = found
        .iter()
        .find(|finding| finding.rule == "pings-cut")
        .unwrap();
    assert!(cut.message.contains("4850 of 5000"), "{}", cut.message);
}

#[test]
fn what_iis_refuses_is_found_with_its_line() {
    let schedule = |value: &str| {
        exchange(&format!(
            "<recycling>\n<periodicRestart time=\"00:00:00\">\n<schedule><clear/><add value=\"{value}\"/>\
             </schedule>\n</periodicRestart>\n</recycling>"
        ))
    };
    let found = |pool: &Pool, id: &str| -> Vec<(String, Severity, Option<usize>)> {
        lint("f", pool, &context(Exchange::Affected))
            .into_iter()
            .filter(|finding| finding.rule == id)
            .map(|finding| (finding.setting.into_owned(), finding.severity, finding.line))
            .collect()
    };
    for (value, expected) in [
        ("03:00:30", 1),
        ("23:59:59", 1),
        ("03:00:00", 0),
        ("03:01:00", 0),
    ] {
        let found = found(&schedule(value), "schedule-seconds");
        assert_eq!(found.len(), expected, "{value}");
        if let [(setting, severity, line)] = found.as_slice() {
            assert_eq!(setting, "add@value");
            assert_eq!((*severity, *line), (Severity::Error, Some(8)));
        }
    }
    let unknown =
        exchange("<recycling configSource=\"r.config\" enabled=\"true\"><times /></recycling>");
    assert_eq!(
        found(&unknown, "config-source"),
        [(
            "recycling@configSource".to_owned(),
            Severity::Error,
            Some(6)
        )]
    );
    assert_eq!(
        found(&unknown, "unknown-setting"),
        [
            ("recycling@enabled".to_owned(), Severity::Warning, Some(6)),
            ("times".to_owned(), Severity::Warning, Some(6)),
        ]
    );
    let known = exchange("<recycling><periodicRestart time=\"00:00:00\" /></recycling>");
    for id in [
        "config-source",
        "unknown-setting",
        "schedule-seconds",
        "invalid",
    ] {
        assert_eq!(found(&known, id), [], "{id}");
    }
}
