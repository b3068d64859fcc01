//! Servers, gateways and machines that mislead a run, each with what is true of it and the outcomes that are not
//! wrong. *No data* is accepted only with a reason.

use easload::run::simulatable;
use hdrhistogram::Histogram;
use scenario::names::Metric;
use scenario::{Plan, parse};
use serde_json::Value;
use verdict::judge::{Check, Digest, Outcome, judge};
use verdict::timeline::{Interval, Latency};

use crate::outside_only::timeline;
use crate::record::outcome;
use crate::world::{play, play_lossy};

/// Seeds of each case. `EASLOAD_SEEDS` sets another number.
fn seeds() -> u64 {
    let named = std::env::var("EASLOAD_SEEDS").is_ok();
    // One of each takes half a minute.
    if named { crate::scenarios::seeds() } else { 1 }
}

/// Incidents that a run can name, by a part of each name.
const AFFINITY: &str = "servers that do not share their state";
const PORTAL: &str = "a web page is answered in place of ActiveSync";
const LOGINS: &str = "logins are refused that were accepted before";
const LIMIT: &str = "requests are limited";
const FEW: &str = "few mailboxes are slow";
const NEWS: &str = "reports changes that no Sync brings";
const TIMEOUT: &str = "ends Pings after a time of its own";
const UNSETTLED: &str = "the baseline had not settled";
const NAMES: [&str; 8] = [
    AFFINITY, PORTAL, LOGINS, LIMIT, FEW, NEWS, TIMEOUT, UNSETTLED,
];

/// A run against a mock on which nothing strands.
#[derive(Clone)]
struct Run {
    heartbeat: &'static str,
    /// Mails a second.
    mails: u32,
    /// Faults of all phases.
    always: String,
    in_aging: String,
    in_recovered: String,
    /// Whether the recycle phase recycles.
    recycles: bool,
    checks: &'static str,
}

fn healthy() -> Run {
    Run {
        heartbeat: "8s",
        mails: 10,
        always: String::new(),
        in_aging: String::new(),
        in_recovered: String::new(),
        recycles: true,
        checks: "",
    }
}

impl Run {
    fn plan(&self) -> Plan {
        let faults = |of: &str, text: &str| {
            let tables = text.split(';').map(str::trim).filter(|one| !one.is_empty());
            let tables = tables.map(|one| format!("[[{of}.fault]]\n{}\n", one.replace(", ", "\n")));
            tables.collect::<String>()
        };
        let phase = |kind: &str, seconds: u32, more: &str, text: &str| {
            format!(
                "[[phase]]\nkind = \"{kind}\"\nduration = \"{seconds}s\"\n{more}\n{}",
                faults("phase", text)
            )
        };
        let abandon =
            "abandon = { share = 0.5, after = \"500ms..3s\", away = \"0s..1s\", fin = 2, rst = 1 }";
        let trigger = if self.recycles {
            "trigger = \"mock\""
        } else {
            ""
        };
        let text = format!(
            "name = \"adversary\"\n[mock]\nfixed = true\nmin_heartbeat = \"1s\"\npoll_interval = \"200ms\"\n\
             error_response_delay = \"500ms\"\n\
             [mock.heap]\npause_per_mib = \"0s\"\n{}\
             [devices]\ncount = 60\nusers = 30\nheartbeat = \"{}\"\ngrace = \"4s\"\nretry = \"200ms..5s\"\nramp = \"3s\"\n\
             [mail]\nrate = {}\nlate_after = \"20s\"\n{}{}{}{}{}{}\
             [checks]\n{}",
            faults("mock", &self.always),
            self.heartbeat,
            self.mails,
            phase("ramp", 5, "", ""),
            phase("baseline", 16, "", ""),
            phase("aging", 24, abandon, &self.in_aging),
            phase("hold", 14, "", ""),
            phase("recycle", 7, trigger, ""),
            phase("recovered", 16, "", &self.in_recovered),
            self.checks,
        );
        simulatable(parse("adversary.toml", &text).unwrap()).plan
    }

    fn with_always(text: &str) -> Self {
        Self {
            always: text.to_owned(),
            ..healthy()
        }
    }

    fn with_aging(text: &str) -> Self {
        Self {
            in_aging: text.to_owned(),
            ..healthy()
        }
    }
}

/// A check, the outcomes that are not wrong, and why *no data* is one of them.
type Accepted = (&'static str, &'static [&'static str], &'static str);

const RECYCLED: Accepted = ("recycle seen", &["pass"], "");
const MEASURED: Accepted = ("measurement", &["pass"], "");
const SAME: Accepted = (
    "restored",
    &["pass", "no_data"],
    "phases of 20 s do not always prove that latencies are as before",
);
const KEPT: Accepted = ("nothing lost", &["pass"], "");
const NOT_REPRODUCED: Accepted = (
    "symptom",
    &["no_data"],
    "nothing strands: a symptom that is not there is not reproduced",
);

struct Case {
    what: &'static str,
    run: Run,
    /// Incidents that are named.
    names: &'static [&'static str],
    /// Incidents that may be named beside them. No other must be.
    may: &'static [&'static str],
    accepted: &'static [Accepted],
    /// Whether the server keeps what invariants ask for.
    is_lossy: bool,
}

/// Why a check has its outcome.
fn reason(record: &Value, check: &str) -> String {
    let checks = record["checks"].as_array().unwrap();
    let found = checks.iter().find(|one| one["name"] == check).unwrap();
    found["reason"].as_str().unwrap().to_owned()
}

/// What a check says, with all its figures.
fn texts(record: &Value) -> String {
    record["checks"].to_string()
}

fn wrong(case: &Case, record: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let texts = texts(record);
    for name in NAMES {
        let is_expected =
            case.names.contains(&name) || case.may.contains(&name) && texts.contains(name);
        if texts.contains(name) != is_expected {
            let said = if texts.contains(name) {
                "is named"
            } else {
                "is not named"
            };
            wrong.push(format!("\"{name}\" {said}"));
        }
    }
    for (check, outcomes, why) in case.accepted {
        assert!(
            !outcomes.contains(&"no_data") || !why.is_empty(),
            "{check}: no data needs a reason"
        );
        let found = outcome(record, check);
        if !outcomes.contains(&found.as_str()) {
            wrong.push(format!("{check}: {found} instead of {outcomes:?}"));
        }
        // Too little was measured for a proof. Any other reason would be wrong.
        let reason = reason(record, check);
        if *check == SAME.0 && found == "no_data" && !reason.starts_with("inconclusive") {
            wrong.push(format!("{check}: {reason}"));
        }
    }
    wrong
}

fn assert_cases(cases: &[Case]) {
    let mut found = Vec::new();
    for case in cases {
        for seed in 1..=seeds() {
            let plan = case.run.plan();
            let played = if case.is_lossy {
                play_lossy(plan, seed)
            } else {
                play(plan, seed)
            };
            let record = played.record();
            for text in wrong(case, &record) {
                let checks = serde_json::to_string_pretty(&record["checks"]).unwrap();
                found.push(format!("{}, seed {seed}: {text}\n{checks}", case.what));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The negative control of every name.
#[test]
fn healthy_server_has_no_other_incident() {
    let absent = Run {
        checks: "symptom = \"absent\"\n",
        ..healthy()
    };
    let longer = Run {
        heartbeat: "13s",
        ..healthy()
    };
    // HTTP.sys's own 503 has none of the headers of a limit.
    let full = Run::with_aging("fault = \"queue-full\", probability = 0.1");
    let slow = Run::with_aging("fault = \"latency\", command = \"Sync\", delay = \"600ms\"");
    let once = Run::with_aging("fault = \"lose-sync-state\"; fault = \"unprovision\"");
    assert_cases(&[
        Case {
            what: "a healthy server",
            run: absent,
            names: &[],
            may: &[],
            accepted: &[
                MEASURED,
                ("symptom", &["pass"], ""),
                RECYCLED,
                SAME,
                ("released", &["skipped"], ""),
                KEPT,
            ],
            is_lossy: false,
        },
        Case {
            what: "a healthy server with a longer heartbeat",
            run: longer,
            names: &[],
            may: &[],
            accepted: &[MEASURED, NOT_REPRODUCED, RECYCLED, SAME, KEPT],
            is_lossy: false,
        },
        Case {
            what: "a full queue",
            run: full,
            names: &[],
            may: &[],
            accepted: &[MEASURED, NOT_REPRODUCED, RECYCLED, SAME, KEPT],
            is_lossy: false,
        },
        Case {
            what: "all mailboxes slow in aging",
            run: slow,
            names: &[],
            may: &[],
            accepted: &[MEASURED, NOT_REPRODUCED, RECYCLED, SAME, KEPT],
            is_lossy: false,
        },
        Case {
            what: "keys are lost once",
            run: once,
            names: &[],
            may: &[],
            accepted: &[MEASURED, NOT_REPRODUCED, RECYCLED, SAME, KEPT],
            is_lossy: false,
        },
    ]);
}

/// Row q. Mail goes to either server, and devices ask either of them.
#[test]
fn balancer_without_affinity_is_named_and_loses_no_mail() {
    const MAIL: Accepted = (
        "nothing lost",
        &["pass", "no_data"],
        "mail that is not found may be on the other server",
    );
    let cases = [0.5, 0.1].map(|share| Case {
        what: "a balancer without affinity",
        run: Run::with_always(&format!("fault = \"no-affinity\", probability = {share}")),
        names: &[AFFINITY],
        // A Ping and the Sync after it may go to different servers.
        may: &[NEWS],
        accepted: &[NOT_REPRODUCED, MAIL],
        is_lossy: true,
    });
    assert_cases(&cases);
}

/// Rows j, k and l: at any age, by any sign, with and without a recycle.
#[test]
fn idle_timeout_of_a_gateway_is_named_and_is_no_recycle() {
    const NO_RECYCLE: Accepted = (
        "recycle seen",
        &["pass", "no_data"],
        "recycles at fixed intervals cut Pings of one age too",
    );
    let mut cases = Vec::new();
    for (delay, heartbeat, status) in [
        ("5s", "8s", ""),
        ("5s", "8s", ", status = 504"),
        ("7s", "12s", ", status = 502"),
        ("7s", "12s", ", status = 408"),
    ] {
        let gateway = Run {
            heartbeat,
            // Few Pings end before by mail.
            mails: 4,
            ..Run::with_always(&format!(
                "fault = \"idle-timeout\", command = \"Ping\", delay = \"{delay}\"{status}"
            ))
        };
        let without = Run {
            recycles: false,
            checks: "recycle = \"absent\"\nsymptom = \"any\"\n",
            ..gateway.clone()
        };
        cases.push(Case {
            what: "a gateway with an idle timeout",
            run: gateway,
            names: &[TIMEOUT],
            may: &[],
            accepted: &[MEASURED, NOT_REPRODUCED, RECYCLED, KEPT],
            is_lossy: false,
        });
        if delay == "5s" {
            cases.push(Case {
                what: "a gateway with an idle timeout, and no recycle",
                run: without,
                names: &[TIMEOUT],
                may: &[],
                accepted: &[MEASURED, NO_RECYCLE, KEPT],
                is_lossy: false,
            });
        }
    }
    assert_cases(&cases);
}

#[test]
fn what_is_answered_in_place_of_the_server_is_named() {
    const MAIL: Accepted = (
        "nothing lost",
        &["pass", "no_data"],
        "mail that was not accepted proves nothing",
    );
    let case = |what, fault: &str, names| Case {
        what,
        run: Run::with_aging(fault),
        names,
        may: &[],
        accepted: &[NOT_REPRODUCED, RECYCLED, SAME, MAIL],
        is_lossy: false,
    };
    let always = |what, fault: &str, names| Case {
        run: Run::with_always(fault),
        accepted: &[NOT_REPRODUCED, RECYCLED, MAIL],
        ..case(what, fault, names)
    };
    // Not for OPTIONS: a run does not begin at a web page.
    let page = "fault = \"web-page\", command = \"Sync\", probability = 0.2; \
                fault = \"web-page\", command = \"Ping\", probability = 0.2";
    let limit = "fault = \"retry-after\", delay = \"2s\", probability = 0.1";
    assert_cases(&[
        case("a captive portal in aging", page, &[PORTAL]),
        always("a captive portal", page, &[PORTAL]),
        case("throttling by 503", limit, &[LIMIT]),
        case(
            "a rate limit by 429",
            &format!("{limit}, status = 429"),
            &[LIMIT],
        ),
        case(
            "a directory that refuses logins",
            "fault = \"error\", status = 401, probability = 0.05",
            &[LOGINS],
        ),
        case(
            "changes without news",
            "fault = \"error\", eas_status = 2, command = \"Ping\", probability = 0.5",
            &[NEWS],
        ),
    ]);
    // Row r: nobody asks for mail.
    assert_cases(&[Case {
        what: "all Pings are forbidden",
        run: Run::with_always("fault = \"error\", status = 403, command = \"Ping\""),
        names: &[],
        may: &[],
        accepted: &[
            MEASURED,
            NOT_REPRODUCED,
            (
                "nothing lost",
                &["no_data"],
                "devices that hear nothing of their mail do not ask for it",
            ),
        ],
        is_lossy: false,
    }]);
}

#[test]
fn few_slow_mailboxes_are_named() {
    let slow = |users: &[&str], delay: &str| {
        // Of 30 users.
        let faults = users.iter().map(|user| {
            format!(
                "fault = \"latency\", user = \"{user}\", command = \"Sync\", delay = \"{delay}\""
            )
        });
        Run::with_aging(&faults.collect::<Vec<_>>().join("; "))
    };
    let accepted: &[Accepted] = &[MEASURED, NOT_REPRODUCED, RECYCLED, SAME, KEPT];
    assert_cases(&[
        Case {
            what: "one slow mailbox",
            run: slow(&["load0007"], "1s"),
            names: &[FEW],
            may: &[],
            accepted,
            is_lossy: false,
        },
        Case {
            what: "three slow mailboxes",
            run: slow(&["load0001", "load0017", "load0030"], "700ms"),
            names: &[FEW],
            may: &[],
            accepted,
            is_lossy: false,
        },
    ]);
}

/// Row t.
#[test]
fn baseline_that_has_not_settled_is_no_yardstick() {
    const WITHOUT_YARDSTICK: Accepted = (
        "restored",
        &["no_data"],
        "what was measured after the recycle has nothing to compare with",
    );
    // One phase after the other: the fault ends in the middle of the baseline.
    let plan = |seconds: u32, delay: &str, ramp: &str| {
        let text = format!(
            "name = \"unsettled\"\n[mock]\nfixed = true\nmin_heartbeat = \"1s\"\npoll_interval = \"200ms\"\n\
             [mock.heap]\npause_per_mib = \"0s\"\n\
             [devices]\ncount = 60\nusers = 30\nheartbeat = \"8s\"\ngrace = \"4s\"\nretry = \"200ms..5s\"\nramp = \"{ramp}\"\n\
             [mail]\nrate = 20\nlate_after = \"20s\"\n\
             [[phase]]\nkind = \"ramp\"\nduration = \"6s\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"{seconds}s\"\n\
             [[phase.fault]]\nfault = \"latency\"\ncommand = \"Sync\"\ndelay = \"{delay}\"\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"14s\"\n\
             [[phase]]\nkind = \"recycle\"\nduration = \"8s\"\ntrigger = \"mock\"\n\
             [[phase]]\nkind = \"recovered\"\nduration = \"20s\"\n[checks]\nsymptom = \"any\"\n"
        );
        simulatable(parse("unsettled.toml", &text).unwrap()).plan
    };
    for seed in 1..=seeds() {
        for (seconds, delay, ramp, is_settled) in [
            (10, "2s", "3s", false),
            // Half of the devices start in the baseline.
            (10, "5ms", "40s", false),
            (10, "5ms", "3s", true),
        ] {
            let record = play(plan(seconds, delay, ramp), seed).record();
            let found = outcome(&record, "restored");
            let expected = if is_settled {
                &["pass"]
            } else {
                WITHOUT_YARDSTICK.1
            };
            let what = format!("{delay} for {seconds} s, ramp {ramp}, seed {seed}: {record:#}");
            assert!(expected.contains(&found.as_str()), "{what}");
            assert_eq!(texts(&record).contains(UNSETTLED), !is_settled, "{what}");
        }
    }
}

/// The seconds of a run, with items in the baseline that are no mail of the run.
#[test]
fn inboxes_that_are_still_read_in_the_baseline_are_no_yardstick() {
    let run = healthy();
    for seed in 1..=seeds() {
        let plan = run.plan();
        let seconds = timeline(&play(plan.clone(), seed));
        for (items, is_settled) in [(0, true), (50, false)] {
            let mut seconds = seconds.clone();
            for second in seconds.iter_mut().filter(|one| one.phase == "baseline") {
                *second.counts.entry("items".to_owned()).or_default() += items;
            }
            let checks = judge(&plan, &seconds.into_iter().collect());
            let restored = check(&checks, "restored");
            let expected = if is_settled {
                Outcome::Pass
            } else {
                Outcome::NoData
            };
            assert_eq!(restored.outcome, expected, "{restored:#?}");
            assert_eq!(restored.reason.contains(UNSETTLED), !is_settled);
        }
    }
}

fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

/// Makes timers late by that many milliseconds in every so many-th second of a phase, and with them each latency.
fn late(seconds: &mut [Interval], phase: &str, millis: f64, every: usize) {
    let of_phase = seconds.iter_mut().filter(|one| one.phase == phase);
    for second in of_phase.step_by(every) {
        second.gauges.insert("harness.lag_ms".to_owned(), millis);
        for metric in [Metric::Sync, Metric::Notification] {
            let Some(latency) = second.latencies.get_mut(metric.as_str()) else {
                continue;
            };
            let mut shifted = Histogram::<u64>::new(3).unwrap();
            for value in latency.histogram().unwrap().iter_recorded() {
                let micros = value.value_iterated_to() + (millis * 1e3) as u64;
                shifted
                    .record_n(micros, value.count_since_last_iteration())
                    .unwrap();
            }
            *latency = Latency::of(&shifted).unwrap();
        }
    }
}

/// Row s. This machine is loaded by others after the baseline: what it measures is not the server.
#[test]
fn machine_that_is_loaded_in_mid_run_proves_nothing() {
    let run = Run {
        checks: "slack = \"20ms\"\n",
        ..healthy()
    };
    for seed in 1..=seeds() {
        let plan = run.plan();
        let calm = timeline(&play(plan.clone(), seed));
        let judged = |change: &dyn Fn(&mut [Interval])| {
            let mut seconds = calm.clone();
            change(&mut seconds);
            let digest: Digest = seconds.into_iter().collect();
            judge(&plan, &digest)
        };
        let outcomes = |checks: &[Check]| {
            let of = |name| check(checks, name).outcome;
            (of("measurement"), of("restored"))
        };
        let checks = judged(&|_| {});
        assert_eq!(
            outcomes(&checks),
            (Outcome::Pass, Outcome::Pass),
            "{checks:#?}"
        );
        // All of the time, by more than the slack and less than the old limit of 250 ms.
        for millis in [60.0, 200.0] {
            let checks = judged(&|seconds| {
                for phase in ["aging", "hold", "recovered"] {
                    late(seconds, phase, millis, 1);
                }
            });
            let found = outcomes(&checks);
            assert_eq!(found, (Outcome::NoData, Outcome::NoData), "{checks:#?}");
        }
        // Now and then: enough for p95 and p99.
        let checks = judged(&|seconds| late(seconds, "recovered", 150.0, 7));
        assert_eq!(
            outcomes(&checks),
            (Outcome::Pass, Outcome::NoData),
            "{checks:#?}"
        );
        // Timers that are less late than what is judged.
        let checks = judged(&|seconds| late(seconds, "recovered", 5.0, 1));
        assert_eq!(
            outcomes(&checks),
            (Outcome::Pass, Outcome::Pass),
            "{checks:#?}"
        );
    }
    // A server that is slower by more than timers are late fails all the same.
    let slower = Run {
        in_recovered: "fault = \"latency\", command = \"Sync\", delay = \"700ms\"".to_owned(),
        ..run
    };
    for seed in 1..=seeds() {
        let plan = slower.plan();
        let mut seconds = timeline(&play(plan.clone(), seed));
        late(&mut seconds, "recovered", 60.0, 1);
        let checks = judge(&plan, &seconds.into_iter().collect());
        let restored = check(&checks, "restored");
        assert_eq!(restored.outcome, Outcome::Fail, "{restored:#?}");
    }
}
