//! Whether the judge sees a recycle: by the server's figures, from outside, or not at all.

use hdrhistogram::Histogram;
use scenario::names::{Counter, Metric};
use scenario::parse;
use verdict::judge::{Check, Digest, Outcome, judge};
use verdict::timeline::{Interval, Latency};

use crate::story::{SCENARIO, Story};

/// When the recycle phase of the story begins.
const START: u32 = 50;

/// The story without any figure of the server, with good answers in each second and what `change` adds.
fn from_outside(change: impl Fn(u32, &mut Interval)) -> Vec<Interval> {
    let mut timeline = Story::default().timeline();
    for interval in &mut timeline {
        interval
            .gauges
            .retain(|name, _| !name.starts_with("server."));
        add(interval, Counter::Answers, 80);
        change(interval.t as u32, interval);
    }
    timeline
}

fn recycle_seen(timeline: Vec<Interval>, trigger: &str) -> Check {
    let text = SCENARIO.replace("trigger = \"mock\"", trigger);
    assert!(text.contains(trigger));
    let plan = parse("synthetic.toml", &text).unwrap();
    let digest: Digest = timeline.into_iter().collect();
    let checks = judge(&plan, &digest).into_iter();
    checks
        .into_iter()
        .find(|check| check.name == "recycle seen")
        .unwrap()
}

const TRIGGERED: &str = "trigger = \"mock\"";
const OBSERVED: &str = "trigger = \"observe\"";

fn add(interval: &mut Interval, counter: Counter, count: u64) {
    interval.counts.insert(counter.as_str().to_owned(), count);
    if counter == Counter::PingsCut {
        interval
            .counts
            .insert(Counter::Closed.as_str().to_owned(), count);
    }
}

/// A server that starves has few Pings to lose, and many other requests.
#[test]
fn requests_that_a_gateway_answers_502_show_the_recycle() {
    let check = recycle_seen(
        from_outside(|t, interval| {
            if t == START + 2 {
                add(interval, Counter::BadGateway, 55);
                add(interval, Counter::HttpErrors, 55);
                add(interval, Counter::PingsLost, 2);
            }
        }),
        OBSERVED,
    );
    assert_eq!(check.outcome, Outcome::Pass, "{check:#?}");
    assert_eq!(
        check.figures,
        [
            "at 52 s a gateway lost the server under 55 requests at once",
            "at 53 s (+1 s) the server answers again"
        ]
    );
}

/// A pool without ports fails until it is recycled. Seen from outside, the recycle is when the server answers
/// again.
#[test]
fn an_outage_that_ends_in_the_recycle_phase_shows_the_recycle() {
    let outage = |seconds: std::ops::Range<u32>| {
        from_outside(move |t, interval| {
            if seconds.contains(&t) {
                for counter in [Counter::BadGateway, Counter::HttpErrors, Counter::Answers] {
                    add(interval, counter, 80);
                }
            }
        })
    };
    let check = recycle_seen(outage(START - 4..START), OBSERVED);
    assert_eq!(check.outcome, Outcome::Pass, "{check:#?}");
    let check = recycle_seen(outage(START - 9..START - 5), OBSERVED);
    assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
}

/// The listen queue of a server that is reloaded survives, so that few requests are cut.
#[test]
fn few_requests_show_it_only_right_after_the_run_s_own_trigger() {
    let few = |at: u32| {
        from_outside(move |t, interval| {
            if t == at {
                add(interval, Counter::PingsCut, 4);
            }
        })
    };
    let check = recycle_seen(few(START + 2), TRIGGERED);
    assert_eq!(check.outcome, Outcome::Pass, "{check:#?}");
    assert_eq!(
        check.figures,
        [
            "at 52 s 4 requests were cut, lost or refused right after the trigger, more than before it"
        ]
    );
    // At another time, or without a trigger, they may be anything.
    for (timeline, trigger) in [(few(START - 10), TRIGGERED), (few(START + 2), OBSERVED)] {
        let check = recycle_seen(timeline, trigger);
        assert_ne!(check.outcome, Outcome::Pass, "{check:#?}");
    }
    // A server that cuts as many all the time.
    let usual = from_outside(|_, interval| add(interval, Counter::PingsCut, 2));
    let check = recycle_seen(usual, TRIGGERED);
    assert_ne!(check.outcome, Outcome::Pass, "{check:#?}");
}

#[test]
fn a_recycle_that_cannot_be_seen_from_outside_is_no_data_and_not_a_failure() {
    let calm = || from_outside(|_, _| {});
    let check = recycle_seen(calm(), TRIGGERED);
    assert_eq!(check.outcome, Outcome::NoData, "{check:#?}");
    assert_eq!(
        check.reason,
        "the trigger reported success, and from outside nothing shows a recycle: 500 requests were open, \
         and hardly any was cut, lost or refused; an [[observe.source]] with the pool's recycles or the \
         start of its worker would tell"
    );
    // Nobody triggered it, and 500 Pings lived on.
    let check = recycle_seen(calm(), OBSERVED);
    assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
    // Too few requests to show anything.
    let few = from_outside(|_, interval| {
        interval.gauges.insert("devices.holding".to_owned(), 4.0);
    });
    let check = recycle_seen(few, OBSERVED);
    assert_eq!(check.outcome, Outcome::NoData, "{check:#?}");
    assert!(
        check.reason.starts_with("4 requests were open"),
        "{check:#?}"
    );
    // The server's own counter says that there was none.
    let counted = from_outside(|_, interval| {
        interval.gauges.insert("server.recycles".to_owned(), 3.0);
    });
    let check = recycle_seen(counted, TRIGGERED);
    assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
    // A total may be that of a gateway, which counts on.
    let total = from_outside(|t, interval| {
        let total = f64::from(1000 + t);
        let name = "server.requests_total".to_owned();
        interval.gauges.insert(name, total);
    });
    let check = recycle_seen(total, TRIGGERED);
    assert_eq!(check.outcome, Outcome::NoData, "{check:#?}");
}

/// Pings that a proxy ends, each at the same age, with what else happens.
fn behind_a_proxy(recycle: bool) -> Vec<Interval> {
    from_outside(move |t, interval| {
        let is_recycle = recycle && t == START + 4;
        let mut ages = Histogram::<u64>::new(3).unwrap();
        if t % 10 == 8 {
            ages.record_n(10_000_000, 100).unwrap();
        }
        if is_recycle {
            for age in 1..400 {
                ages.record(age * 25_000).unwrap();
            }
        }
        if let Some(latency) = Latency::of(&ages) {
            add(interval, Counter::PingsCut, ages.len());
            interval
                .latencies
                .insert(Metric::CutAge.as_str().to_owned(), latency);
        }
    })
}

#[test]
fn pings_that_a_proxy_ends_are_no_recycle_and_do_not_hide_one() {
    let check = recycle_seen(behind_a_proxy(false), OBSERVED);
    assert_eq!(check.outcome, Outcome::NoData, "{check:#?}");
    assert_eq!(
        check.reason,
        "Pings ended together in the recycle phase, but at an age at which others ended as well; an \
         [[observe.source]] with the pool's recycles or the start of its worker would tell"
    );
    assert_eq!(
        check.figures,
        [
            "at 8 s, 18 s, 28 s, 38 s, 48 s and 3 more times Pings ended together at an age at which others \
             ended as well: a timeout, not a recycle"
        ]
    );
    // A timeout and recycles at fixed intervals look alike, so that no recycle is not proven either.
    let absent = |counted: bool| {
        let mut timeline = behind_a_proxy(false);
        for interval in timeline.iter_mut().filter(|_| counted) {
            interval.gauges.insert("server.recycles".to_owned(), 3.0);
        }
        let text = format!("{SCENARIO}\n[checks]\nrecycle = \"absent\"\n");
        let plan = parse("synthetic.toml", &text).unwrap();
        let checks = judge(&plan, &timeline.into_iter().collect());
        crate::story::outcome(&checks, "recycle seen")
    };
    assert_eq!(absent(false), Outcome::NoData);
    assert_eq!(absent(true), Outcome::Pass);
    for trigger in [TRIGGERED, OBSERVED] {
        let check = recycle_seen(behind_a_proxy(true), trigger);
        assert_eq!(check.outcome, Outcome::Pass, "{check:#?}");
        assert_eq!(check.figures[0], "at 54 s 399 held Pings were cut at once");
    }
}

/// A burst just before the recycle phase is something else, whether the recycle came or not.
#[test]
fn what_happens_before_the_recycle_phase_is_not_its_recycle() {
    let bursts = |times: &'static [u32]| {
        from_outside(move |t, interval| {
            if times.contains(&t) {
                add(interval, Counter::PingsCut, 90);
            }
        })
    };
    let check = recycle_seen(bursts(&[START - 6]), OBSERVED);
    assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
    assert_eq!(
        check.reason,
        "a recycle was seen, but not in the recycle phase"
    );
    let check = recycle_seen(bursts(&[START - 6, START + 3]), OBSERVED);
    assert_eq!(check.outcome, Outcome::Pass, "{check:#?}");
}

/// A server that nobody can reach has nothing that a recycle could cut.
#[test]
fn recycle_of_a_server_that_hardly_answers_may_be_hidden() {
    let down = |seconds: std::ops::Range<u32>, share: u64| {
        move |t: u32, interval: &mut Interval| {
            if seconds.contains(&t) {
                add(interval, Counter::Answers, 80);
                add(interval, Counter::HttpErrors, 80 * share / 100);
            }
        }
    };
    // It was down before the recycle phase, and came back in it.
    let check = recycle_seen(from_outside(down(30..START + 3, 90)), OBSERVED);
    assert_eq!(check.outcome, Outcome::NoData, "{check:#?}");
    assert!(
        check.reason.contains("90 % of the requests failed"),
        "{check:#?}"
    );
    // Half of the requests had good answers, or it was well again long before.
    for healthy in [down(30..START + 3, 50), down(20..START - 10, 90)] {
        let check = recycle_seen(from_outside(healthy), OBSERVED);
        assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
    }
    // The server's own figures show that nothing was recycled.
    let mut counted = from_outside(down(30..START + 3, 90));
    for interval in &mut counted {
        interval.gauges.insert("server.recycles".to_owned(), 0.0);
    }
    let check = recycle_seen(counted, OBSERVED);
    assert_eq!(check.outcome, Outcome::Fail, "{check:#?}");
}
