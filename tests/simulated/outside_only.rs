//! Runs that are judged by what devices see alone, as against a server without counters.

use easload::run::simulatable;
use scenario::{Plan, parse};
use verdict::judge::{Check, Digest, Grade, Outcome, judge, median};
use verdict::timeline::{Interval, Timeline};

use crate::scenarios::seeds;
use crate::world::{Played, play};

/// A latency of all commands.
const ALL_COMMANDS: &str = "";

/// The default scenario on a server that strands everything that is given up, or nothing. In those phases a
/// command is slow.
fn plan(strands: bool, slow_in: &[&str], command: &str) -> Plan {
    let text = include_str!("../../scenarios/recycle-restores-sync.toml");
    let text = if strands {
        text.to_owned()
    } else {
        text.replacen("[mock]", "[mock]\nfixed = true", 1)
    };
    let mut parts = text.split("[[phase]]");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        let is_slow = |kind: &&str| part.contains(&format!("kind = \"{kind}\""));
        let (phase, rest) = part.split_once("[checks]").unwrap_or((part, ""));
        text.push_str("[[phase]]");
        text.push_str(phase);
        if slow_in.iter().any(is_slow) {
            text.push_str("[[phase.fault]]\nfault = \"latency\"\ndelay = \"600ms\"\n");
            text.push_str(command);
            text.push_str("\n\n");
        }
        if !rest.is_empty() {
            text.push_str("[checks]");
            text.push_str(rest);
        }
    }
    simulatable(parse("outside.toml", &text).unwrap()).plan
}

pub(crate) fn timeline(played: &Played) -> Vec<Interval> {
    let timeline = Timeline::open(&played.finished.directory).unwrap();
    timeline.map(Result::unwrap).collect()
}

/// The same seconds as devices see them.
fn from_outside(mut timeline: Vec<Interval>) -> Digest {
    for interval in &mut timeline {
        let given_up = interval.gauge("devices.given_up").unwrap_or(0.0);
        let gauges = &mut interval.gauges;
        gauges.retain(|name, _| name.starts_with("devices.") || name.starts_with("harness."));
        gauges.insert("stranded".to_owned(), given_up);
        gauges.insert("stranded.low".to_owned(), 0.0);
        gauges.insert("stranded.high".to_owned(), given_up);
    }
    timeline.into_iter().collect()
}

fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

#[test]
fn stranding_is_seen_without_counters() {
    for seed in 1..=seeds() {
        let plan = plan(true, &[], ALL_COMMANDS);
        let played = play(plan.clone(), seed);
        let checks = judge(&plan, &from_outside(timeline(&played)));
        for name in ["symptom", "released", "recycle seen", "restored"] {
            assert_eq!(
                check(&checks, name).outcome,
                Outcome::Pass,
                "seed {seed}: {checks:#?}"
            );
        }
        assert_eq!(check(&checks, "symptom").evidence, Some(Grade::Outside));
        assert_eq!(check(&checks, "released").evidence, Some(Grade::Outside));
    }
}

/// The pool is dead when its policy recycles it: there is nothing left that the recycle could cut.
#[test]
fn recycle_of_a_dead_pool_is_not_denied() {
    for seed in 1..=seeds() {
        let plan = crate::world::plan("kb-4337638.toml");
        let timeline = timeline(&play(plan.clone(), seed));
        let checks = judge(&plan, &from_outside(timeline));
        let seen = check(&checks, "recycle seen");
        assert_ne!(seen.outcome, Outcome::Fail, "seed {seed}: {checks:#?}");
    }
}

/// The server is slow for another reason.
#[test]
fn slow_server_that_strands_nothing_does_not_pass() {
    for slow_in in [&["aging"][..], &["aging", "hold"]] {
        for seed in 1..=seeds() {
            let plan = plan(false, slow_in, ALL_COMMANDS);
            let timeline = timeline(&play(plan.clone(), seed));
            let counted = judge(&plan, &timeline.iter().cloned().collect());
            let outside = judge(&plan, &from_outside(timeline));
            for checks in [counted, outside] {
                for name in ["symptom", "released"] {
                    let outcome = check(&checks, name).outcome;
                    assert_eq!(
                        outcome,
                        Outcome::NoData,
                        "{slow_in:?}, seed {seed}: {checks:#?}"
                    );
                }
            }
        }
    }
}

/// Each of the eight senders has a request open all the time, front end and back end count it, and the server has
/// honest counters.
#[test]
fn requests_of_mail_senders_are_not_stranded() {
    for seed in 1..=seeds() {
        let plan = plan(false, &["aging"], "command = \"SendMail\"");
        let timeline = timeline(&play(plan, seed));
        let level = |name: &str| {
            let aging = timeline.iter().filter(|one| one.phase == "aging");
            let values: Vec<f64> = aging.filter_map(|one| one.gauge(name)).collect();
            median(&values).unwrap()
        };
        assert_eq!(level("mail.sending"), 8.0, "seed {seed}");
        let stranded = level("stranded.low");
        assert!(
            stranded < 4.0,
            "seed {seed}: {stranded} requests seem to be stranded"
        );
    }
}
