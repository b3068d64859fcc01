//! Recycles and what looks like them.

use scenario::names::Metric;

use super::*;
use crate::timeline::Latency;

fn interval(t: f64, gauges: &[(&str, f64)], cut: u64) -> Interval {
    let mut interval = Interval {
        t,
        ..Interval::default()
    };
    interval.gauges.extend(
        gauges
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value)),
    );
    if cut > 0 {
        interval
            .counts
            .insert(Counter::PingsCut.as_str().to_owned(), cut);
    }
    interval
}

/// Seconds with 100 held Pings, one good answer and the counts that `of` gives for each second.
fn seconds(last: u32, of: impl Fn(u32) -> Vec<(Counter, u64)>) -> Vec<Interval> {
    let second = |t: u32| {
        let mut one = interval(t.into(), &[("devices.holding", 100.0)], 0);
        let answers = Counter::Answers.as_str().to_owned();
        one.counts.insert(answers, 1);
        for (counter, count) in of(t) {
            one.counts.insert(counter.as_str().to_owned(), count);
        }
        one
    };
    (1..=last).map(second).collect()
}

/// The same with the age at which a second's Pings ended, in seconds.
fn with_ages(mut all: Vec<Interval>, age: impl Fn(u32, u64) -> f64) -> Vec<Interval> {
    for one in &mut all {
        let t = one.t as u32;
        for (counter, metric) in [
            (Counter::PingsCut, Metric::CutAge),
            (Counter::PingsEarly, Metric::EarlyAge),
        ] {
            let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
            for number in 0..one.count(counter) {
                histogram.record((age(t, number) * 1e6) as u64).unwrap();
            }
            let latency = Latency::of(&histogram);
            one.latencies
                .extend(latency.map(|latency| (metric.as_str().to_owned(), latency)));
        }
    }
    all
}

fn steady(t: f64) -> Interval {
    interval(
        t,
        &[
            ("server.recycles", 3.0),
            ("server.active.7", 9.0),
            ("devices.holding", 100.0),
        ],
        0,
    )
}

fn signs(intervals: &[Interval]) -> Vec<Vec<Sign>> {
    let found = detect(intervals).into_iter();
    found
        .map(|one| one.stages.into_iter().map(|(_, sign)| sign).collect())
        .collect()
}

#[test]
fn each_sign_alone_is_enough() {
    let nothing = interval(3.0, &[], 2);
    assert_eq!(detect(&[steady(1.0), steady(2.0), nothing]), []);
    let counter = [steady(1.0), interval(2.0, &[("server.recycles", 4.0)], 0)];
    assert_eq!(signs(&counter), [[Sign::Counter]]);
    let both = [("server.active.7", 9.0), ("server.active.8", 0.0)];
    let process = [steady(1.0), interval(2.0, &both, 0)];
    assert_eq!(signs(&process), [[Sign::NewWorker("8".to_owned())]]);
    let after_calm =
        |last| -> Vec<Interval> { (1..10).map(|t| steady(t.into())).chain([last]).collect() };
    let burst = after_calm(interval(10.0, &[], 12));
    assert_eq!(signs(&burst), [[Sign::CutPings(12)]]);
    let trickle = after_calm(interval(10.0, &[], 6));
    assert_eq!(detect(&trickle), []);
    // Before a worker was ever seen nothing is compared.
    assert_eq!(detect(&[interval(1.0, &[], 0), steady(2.0)]), []);
}

#[test]
fn a_short_outage_behind_a_gateway_is_a_recycle_and_a_long_one_is_not() {
    let second = |t: u32, lost: u64| {
        let mut one = interval(t.into(), &[("devices.holding", 100.0)], 0);
        one.counts
            .insert(Counter::Answers.as_str().to_owned(), lost + 3);
        one.counts
            .insert(Counter::HttpErrors.as_str().to_owned(), lost);
        for counter in [Counter::PingsLost, Counter::BadGateway] {
            one.counts.insert(counter.as_str().to_owned(), lost);
        }
        one
    };
    let with = |lost: std::ops::Range<u32>| -> Vec<Interval> {
        (1..60)
            .map(|t| second(t, if lost.contains(&t) { 40 } else { 0 }))
            .collect()
    };
    assert_eq!(signs(&with(20..22)), [[Sign::LostPings(80), Sign::Back]]);
    assert_eq!(detect(&with(20..22))[0].t, 20.0);
    assert_eq!(detect(&with(20..40)), []);
    assert_eq!(detect(&with(20..60)), []);
}

#[test]
fn a_server_that_is_first_heard_of_late_has_no_new_worker() {
    let with = |t, pids: &[&str]| {
        let mut one = interval(t, &[("devices.holding", 100.0)], 0);
        for pid in pids {
            one.gauges.insert(format!("server.active.{pid}"), 1.0);
        }
        one
    };
    let late = [with(1.0, &["ex1:7"]), with(2.0, &["ex1:7", "ex2:7"])];
    assert_eq!(detect(&late), []);
    let then = with(3.0, &["ex1:7", "ex2:7", "ex2:8"]);
    let both = [&late[..], &[then]].concat();
    assert_eq!(signs(&both), [[Sign::NewWorker("ex2:8".to_owned())]]);
}

#[test]
fn a_blip_of_the_network_does_not_hide_the_recycle() {
    let found = detect(&seconds(110, |t| match t {
        70 => vec![(Counter::PingsCut, 15)],
        110 => vec![(Counter::PingsCut, 90)],
        _ => Vec::new(),
    }));
    assert_eq!((found.len(), found[1].t), (2, 110.0));
}

#[test]
fn the_stages_of_one_recycle_stand_together_and_two_apart() {
    let at = |t, recycles, pids: &[&str], failures, cut| {
        let mut one = interval(t, &[("devices.holding", 100.0)], cut);
        one.gauges.insert("server.recycles".to_owned(), recycles);
        one.gauges
            .insert("server.shutdown_failures".to_owned(), failures);
        for pid in pids {
            one.gauges.insert(format!("server.active.{pid}"), 1.0);
        }
        one
    };
    let story = [
        at(1.0, 0.0, &["7"], 0.0, 0),
        at(2.0, 1.0, &["7", "8"], 0.0, 0),
        at(92.0, 1.0, &["8"], 1.0, 81),
        at(300.0, 2.0, &["8", "9"], 1.0, 0),
        at(390.0, 2.0, &["9"], 2.0, 70),
    ];
    let found = detect(&story);
    let shown: Vec<Vec<String>> = found.iter().map(Recycle::lines).collect();
    assert_eq!(
        shown[0],
        [
            "at 2 s the pool's recycle counter rose",
            "at 2 s worker 8 appeared and takes the new requests",
            "at 92 s (+90 s) an old worker was killed at its shutdown limit",
            "at 92 s (+90 s) 81 held Pings were cut at once",
            "at 92 s (+90 s) worker 7 is gone",
        ]
    );
    assert_eq!((found.len(), found[1].t, found[1].cut()), (2, 300.0, 70));
}

#[test]
fn a_burst_is_one_against_what_is_usual() {
    // Ten to twenty of a hundred Pings are cut in each second.
    let usual = |t: u32| vec![(Counter::PingsCut, u64::from(10 + 7 * t % 11))];
    assert_eq!(detect(&seconds(300, usual)), []);
    let with_recycle = seconds(300, |t| {
        if t == 200 {
            vec![(Counter::PingsCut, 98)]
        } else {
            usual(t)
        }
    });
    assert_eq!(signs(&with_recycle), [[Sign::CutPings(98)]]);
    assert_eq!(detect(&with_recycle)[0].t, 200.0);
}

/// A server that starves holds few Pings: what waits in its queue are Syncs.
#[test]
fn requests_of_any_kind_show_that_a_gateway_lost_its_server() {
    let lost = |lost: u64, pings: u64| {
        seconds(60, move |t| match t {
            30 | 31 => vec![(Counter::BadGateway, lost), (Counter::PingsLost, pings)],
            _ => Vec::new(),
        })
    };
    assert_eq!(signs(&lost(27, 1)), [[Sign::LostRequests(54), Sign::Back]]);
    assert_eq!(signs(&lost(27, 14)), [[Sign::LostPings(28), Sign::Back]]);
    assert_eq!(detect(&lost(4, 4)), []);
    let cut = seconds(60, |t| match t {
        30 => vec![
            (Counter::Closed, 9),
            (Counter::Resets, 8),
            (Counter::PingsCut, 2),
        ],
        _ => Vec::new(),
    });
    assert_eq!(signs(&cut), [[Sign::CutRequests(17)]]);
}

/// A pool without ports fails until it is recycled. The outage is what the recycle ended.
#[test]
fn an_outage_that_a_known_recycle_ends_is_not_its_beginning() {
    let story = |first: u32| {
        let mut all = seconds(60, |t| match t {
            30..=33 if t >= first => vec![(Counter::BadGateway, 40)],
            _ => Vec::new(),
        });
        for one in &mut all {
            let recycles = if one.t < 34.0 { 0.0 } else { 1.0 };
            one.gauges.insert("server.recycles".to_owned(), recycles);
        }
        all
    };
    assert_eq!(signs(&story(30)), [[Sign::Counter, Sign::Back]]);
    let found = detect(&story(33));
    assert_eq!((found.len(), found[0].t), (1, 33.0));
    assert_eq!(
        found[0].stages,
        [
            (33.0, Sign::LostRequests(40)),
            (34.0, Sign::Counter),
            (34.0, Sign::Back)
        ]
    );
}

#[test]
fn connections_that_are_refused_for_a_moment_show_a_restart_and_for_longer_an_outage() {
    let refused = |until: u32| {
        seconds(90, move |t| match t {
            30.. if t < until => vec![(Counter::ConnectFailures, 40)],
            _ => Vec::new(),
        })
    };
    assert_eq!(signs(&refused(33)), [[Sign::Refused(120), Sign::Back]]);
    // A server that takes no connection afterwards, because nobody tries or nothing answers.
    let mut silent = refused(33);
    for one in silent.iter_mut().filter(|one| one.t >= 30.0) {
        one.counts.remove(Counter::Answers.as_str());
    }
    assert_eq!(detect(&silent), []);
    assert_eq!(detect(&refused(50)), []);
}

/// A proxy ends each Ping at its own timeout, and devices that began together end together.
#[test]
fn pings_that_end_again_and_again_at_one_age_are_the_work_of_a_timeout() {
    let herd = |counter| {
        move |t: u32| {
            if t % 10 == 3 && t > 10 {
                vec![(counter, 40)]
            } else {
                Vec::new()
            }
        }
    };
    for counter in [Counter::PingsCut, Counter::PingsEarly] {
        let all = with_ages(seconds(100, herd(counter)), |_, number| {
            10.0 + 0.002 * number as f64
        });
        let mut detector = Detector::default();
        for one in &all {
            detector.push(one);
        }
        let seen = detector.seen();
        assert_eq!(seen.recycles, []);
        assert_eq!(seen.timeouts.len(), 9);
    }
    // The same herd, and a recycle that ends Pings of every age in between.
    let with_recycle = with_ages(
        seconds(100, |t| {
            if t == 58 {
                vec![(Counter::PingsCut, 96)]
            } else {
                herd(Counter::PingsCut)(t)
            }
        }),
        |t, number| match t {
            58 => 0.1 * number as f64,
            _ => 10.0,
        },
    );
    let found = detect(&with_recycle);
    assert_eq!((found.len(), found[0].t), (1, 58.0));
    // Devices that all began with the last recycle are all of one age at the next, which is no habit.
    let once = with_ages(
        seconds(100, |t| match t {
            58 => vec![(Counter::PingsCut, 100)],
            _ => Vec::new(),
        }),
        |_, _| 10.0,
    );
    assert_eq!(detect(&once)[0].t, 58.0);
}

#[test]
fn a_server_that_cuts_pings_for_as_long_as_nobody_recycles_it_is_not_recycled() {
    let dying = seconds(100, |t| match t {
        30..60 => vec![(Counter::PingsCut, 20 * u64::from(t - 29))],
        _ => Vec::new(),
    });
    assert_eq!(detect(&dying), []);
}

#[test]
fn figures_of_a_values_source_show_a_new_process() {
    let with = |name: &str, value: &dyn Fn(u32) -> f64| -> Vec<Interval> {
        let mut all = seconds(60, |_| Vec::new());
        for one in &mut all {
            let value = value(one.t as u32);
            if value.is_finite() {
                one.gauges.insert(name.to_owned(), value);
            }
        }
        all
    };
    let total = |t: u32| f64::from(if t < 30 { 1000 + 10 * t } else { 10 * (t - 30) });
    let fell = with("server.requests_total", &total);
    assert_eq!(signs(&fell), [[Sign::TotalFell]]);
    assert_eq!(detect(&fell)[0].t, 30.0);
    // A wrong reading that a slow source repeats, one wrong reading, and one that is missing.
    let repeated = |t: u32| match t {
        30..40 => 0.0,
        _ => f64::from(1000 + t),
    };
    assert_eq!(detect(&with("server.requests_total", &repeated)), []);
    let wrong = |t: u32| if t == 30 { 0.0 } else { f64::from(1000 + t) };
    assert_eq!(detect(&with("server.requests_total", &wrong)), []);
    let missing = |t: u32| {
        if t == 30 {
            f64::NAN
        } else {
            f64::from(1000 + t)
        }
    };
    assert_eq!(detect(&with("server.requests_total", &missing)), []);
    // A counter that is read as nothing for a while has not risen when it is back.
    let gap = |t: u32| if (30..33).contains(&t) { 0.0 } else { 3.0 };
    for name in [
        "server.recycles",
        "server.workers_created",
        "server.worker_started",
    ] {
        assert_eq!(detect(&with(name, &gap)), [], "{name}");
    }
    let created = |t: u32| if t < 30 { 3.0 } else { 4.0 };
    let created = with("server.workers_created", &created);
    assert_eq!(signs(&created), [[Sign::WorkerCreated]]);
    // Computed from an age in whole seconds, so it is a second more or less each time.
    let started = |t: u32| f64::from(if t < 30 { 5000 } else { 5600 } + t % 2);
    let started = with("server.worker_started", &started);
    assert_eq!(signs(&started), [[Sign::WorkerStarted]]);
    // A server that starts processes as it needs them does so again and again: the first two are told.
    let dynamic = |t: u32| f64::from(5000 + 5 * (t / 5));
    assert!(detect(&with("server.worker_started", &dynamic)).len() <= 2);
}

#[test]
fn two_recycles_that_only_pings_show_are_two() {
    let all = seconds(100, |t| match t {
        40 | 47 => vec![(Counter::PingsCut, 90)],
        _ => Vec::new(),
    });
    let found = detect(&all);
    assert_eq!(
        found.iter().map(|one| one.t).collect::<Vec<_>>(),
        [40.0, 47.0]
    );
}

/// A gateway whose timeout is over answers 502 as well, to each Ping at the same age.
#[test]
fn pings_that_a_gateway_loses_again_and_again_at_one_age_are_the_work_of_a_timeout() {
    let herd = |t: u32| {
        if t % 15 == 8 && t > 10 {
            vec![(Counter::BadGateway, 60), (Counter::PingsLost, 60)]
        } else {
            Vec::new()
        }
    };
    let mut all = seconds(100, herd);
    for one in &mut all {
        let mut ages = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        ages.record_n(15_000_000, one.count(Counter::PingsLost))
            .unwrap();
        let latency = Latency::of(&ages);
        one.latencies
            .extend(latency.map(|latency| (Metric::EarlyAge.as_str().to_owned(), latency)));
    }
    assert_eq!(detect(&all), []);
}
