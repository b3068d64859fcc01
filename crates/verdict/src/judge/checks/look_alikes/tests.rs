//! Made-up runs, each with one incident, and the same with a little less of it.

use hdrhistogram::Histogram;
use scenario::parse;

use super::*;
use crate::timeline::{Latency, SLOW_USERS};

const BASELINE: usize = 20;
const AGING: usize = 30;

fn plan() -> Plan {
    let text = format!(
        "name = \"incidents\"\n[mock]\n[devices]\ncount = 200\nusers = 100\n[mail]\nrate = 10\n\
         [[phase]]\nkind = \"baseline\"\nduration = \"{BASELINE}s\"\n\
         [[phase]]\nkind = \"aging\"\nduration = \"{AGING}s\"\n"
    );
    parse("incidents.toml", &text).unwrap()
}

/// Counts of one second, and the seconds in which they occur.
type Counts<'a> = (&'a [(Counter, u64)], std::ops::Range<usize>);

/// A run with 100 answers and 20 Syncs in each second.
fn intervals(counts: Counts<'_>, slow_users: f64) -> Vec<Interval> {
    let (counts, when) = counts;
    let seconds = (0..BASELINE + AGING).map(|second| {
        let is_baseline = second < BASELINE;
        let mut one = Interval {
            t: (second + 1) as f64,
            seconds: 1.0,
            phase: if is_baseline { "baseline" } else { "aging" }.to_owned(),
            ..Interval::default()
        };
        let mut add = |counter: Counter, count| {
            one.counts.insert(counter.as_str().to_owned(), count);
        };
        add(Counter::Answers, 100);
        add(Counter::Syncs, 20);
        add(Counter::PingsExpired, 10);
        add(Counter::PingsChanged, 10);
        if when.contains(&second) {
            counts
                .iter()
                .for_each(|(counter, count)| add(*counter, *count));
        }
        if !is_baseline && slow_users > 0.0 {
            one.gauges.insert(SLOW_USERS.to_owned(), slow_users);
        }
        one
    });
    seconds.collect()
}

fn found(intervals: Vec<Interval>) -> Vec<LookAlike> {
    let (plan, digest) = (plan(), intervals.into_iter().collect());
    RunData::new(&plan, &digest).look_alikes()
}

/// The part of its name by which the only incident is known, and whether it explains a service that gets worse.
fn assert_named(counts: Counts<'_>, slow_users: f64, name: &str, explains: bool) {
    let found = found(intervals(counts.clone(), slow_users));
    assert_eq!(found.len(), 1, "{counts:?}: {found:?}");
    assert!(found[0].name.contains(name), "{counts:?}: {found:?}");
    assert_eq!(found[0].explains, explains, "{counts:?}: {found:?}");
    assert!(found[0].told().contains(&found[0].evidence));
}

fn assert_silent(counts: Counts<'_>, slow_users: f64) {
    let found = found(intervals(counts.clone(), slow_users));
    assert!(found.is_empty(), "{counts:?}: {found:?}");
}

/// All of the run, and aging alone.
const ALL: std::ops::Range<usize> = 0..BASELINE + AGING;
const AGED: std::ops::Range<usize> = BASELINE..BASELINE + AGING;

#[test]
fn healthy_run_has_no_incident() {
    assert_silent((&[], ALL), 0.0);
}

#[test]
fn keys_that_are_forgotten_again_and_again_show_a_balancer_without_affinity() {
    let name = "a load balancer without affinity";
    let forgotten = |count| [(Counter::KeysForgotten, count)];
    assert_named((&forgotten(20), ALL), 0.0, name, false);
    assert_named((&forgotten(20), AGED), 0.0, name, true);
    // 50 of 5,000 answers are one in a hundred.
    assert_named((&forgotten(5), 20..30), 0.0, name, true);
    assert_silent((&forgotten(4), 20..30), 0.0);
    // Many at one time: state that was lost once.
    assert_silent((&forgotten(100), 20..29), 0.0);
    // Keys that were old: the server has lost its state, or the policy has changed.
    assert_silent((&[(Counter::KeysUnknown, 50)], ALL), 0.0);
}

/// Of a long run, ten intervals are few.
#[test]
fn keys_that_are_forgotten_in_less_than_a_fifth_of_the_run_are_lost_once() {
    let counts = [(Counter::KeysForgotten, 100)];
    for (repeated, expected) in [(1, 1), (2, 0)] {
        let mut run = intervals((&counts, 20..30), 0.0);
        let quiet = intervals((&[], ALL), 0.0);
        for _ in 1..repeated {
            run.extend(quiet.clone());
        }
        assert_eq!(found(run).len(), expected, "{repeated}");
    }
}

#[test]
fn web_pages_are_named_from_one_in_a_hundred_on() {
    let pages = |count| [(Counter::WebPages, count)];
    let name = "a web page is answered";
    assert_named((&pages(1), ALL), 0.0, name, false);
    assert_named((&pages(10), AGED), 0.0, name, true);
    assert_silent((&pages(1), 0..49), 0.0);
    assert_silent((&pages(9), 3..4), 0.0);
}

#[test]
fn logins_of_several_users_that_are_refused_again_show_the_directory() {
    let again = |count| [(Counter::RefusedAgain, count)];
    let name = "logins are refused that were accepted before";
    // Of 100 users, five.
    assert_named((&again(5), 25..26), 0.0, name, true);
    assert_named((&again(1), ALL), 0.0, name, false);
    assert_silent((&again(4), 25..26), 0.0);
    // Passwords that were never right are the list's.
    assert_silent((&[(Counter::Refused, 50)], AGED), 0.0);
}

#[test]
fn limits_are_named_with_their_headers() {
    let name = "requests are limited";
    for counter in [
        Counter::TooManyRequests,
        Counter::RetryAfter,
        Counter::AsThrottle,
    ] {
        assert_named((&[(counter, 10)], AGED), 0.0, name, false);
        assert_silent((&[(counter, 1)], AGED), 0.0);
    }
    let both = [
        (Counter::Unavailable, 10),
        (Counter::RetryAfter, 9),
        (Counter::AsThrottle, 8),
    ];
    let told = found(intervals((&both, AGED), 0.0))[0].told();
    for part in [
        "300 with 503",
        "270 of them name Retry-After",
        "240 X-MS-ASThrottle",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // HTTP.sys's own, when the queue is full.
    assert_silent((&[(Counter::Unavailable, 50)], AGED), 0.0);
}

#[test]
fn few_users_with_slow_syncs_one_after_the_other_have_slow_mailboxes() {
    let name = "few mailboxes are slow";
    let slow = |slow, again| [(Counter::SlowSyncs, slow), (Counter::SlowAgain, again)];
    assert_named((&slow(2, 1), AGED), 1.0, name, true);
    assert_named((&slow(2, 2), AGED), 10.0, name, true);
    // More than a tenth of the users, or none.
    assert_silent((&slow(2, 2), AGED), 11.0);
    assert_silent((&slow(2, 2), AGED), 0.0);
    // A server that is slow at random, for anybody.
    assert_silent((&slow(4, 1), AGED), 3.0);
    // A server that is slow for all: nearly each slow Sync follows another.
    assert_silent((&slow(10, 9), AGED), 5.0);
    // Too few.
    assert_silent((&slow(9, 9), 20..21), 1.0);
    // Not in aging.
    assert_silent((&slow(2, 2), 0..BASELINE), 1.0);
}

#[test]
fn changes_without_news_are_named_from_a_fifth_of_the_pings_on() {
    let name = "reports changes that no Sync brings";
    let empty = |count| [(Counter::PingsWithoutNews, count)];
    assert_named((&empty(2), ALL), 0.0, name, false);
    assert_silent((&empty(1), ALL), 0.0);
    let few = [(Counter::PingsWithoutNews, 9)];
    assert_silent((&few, 0..1), 0.0);
}

/// The same number of Pings that end early: at any age it is the server, at one age a timeout.
#[test]
fn early_answers_at_any_age_are_not_those_at_one_age() {
    let run = |ages: [u64; 2]| {
        let mut run = intervals((&[(Counter::PingsEarly, 5)], ALL), 0.0);
        for one in &mut run {
            let mut histogram = Histogram::<u64>::new(3).unwrap();
            for number in 0..5 {
                let age = ages[0] + (ages[1] - ages[0]) * number / 4;
                histogram.record(age * 1_000_000).unwrap();
            }
            let latency = Latency::of(&histogram).unwrap();
            one.latencies
                .insert(Metric::EarlyAge.as_str().to_owned(), latency);
        }
        found(run)
    };
    let any = run([20, 60]);
    assert_eq!(any.len(), 1, "{any:?}");
    assert!(any[0].name.contains("before their heartbeat"), "{any:?}");
    assert!(!any[0].explains);
    let one = run([30, 31]);
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].name.contains("after a time of its own"), "{one:?}");
}
