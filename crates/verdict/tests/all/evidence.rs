//! What makes `symptom` and `released` pass or fail: made-up servers whose truth is known, each over several seeds.
//! A server that strands passes, from its counters or from outside alone. One that is slow for another reason does
//! not, nor does one that holds what was given up until its heartbeat ends.

use hdrhistogram::Histogram;
use rand::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use scenario::names::{Counter, Metric};
use scenario::{Plan, parse};
use verdict::judge::{Check, Digest, Grade, Outcome, judge};
use verdict::timeline::{Interval, Latency, LedgerCounts};

use crate::story::outcome;

const SEEDS: u64 = 20;

const BASELINE: u32 = 20;
const AGING: u32 = 30;
const HOLD: u32 = 18;
const RECYCLE: u32 = 10;
const RECOVERED: u32 = 20;

/// What a device gives up, and what the server makes of it.
#[derive(Clone, Copy, PartialEq)]
enum Keeps {
    /// It notices within a second.
    Nothing,
    /// It holds the Ping until its heartbeat ends.
    UntilHeartbeat,
    /// It holds the Ping until a recycle.
    ForGood,
    /// It holds the Ping, and a recycle changes nothing.
    BeyondRecycle,
}

/// Why the server is slow.
#[derive(Clone, Copy, PartialEq)]
enum Slow {
    Never,
    /// The more requests it holds for nobody, the slower it is.
    ByHeld,
    /// Ten times as slow while devices give Pings up.
    InAging,
    /// Ten times as slow from the beginning of aging until the recycle phase begins.
    UntilRecyclePhase,
    /// Answers 503 to one request in ten while devices give Pings up.
    Unavailable,
    /// 3.6 times as slow from the middle of aging on, and 2.7 times as slow after a recycle.
    HardlyBetter,
}

/// A made-up server, and a run against it.
#[derive(Clone, Copy)]
struct Server {
    devices: u32,
    heartbeat: u32,
    hold: bool,
    /// Whether it has honest Active Requests.
    counters: bool,
    /// Pings given up in each second of aging.
    given_up: f64,
    keeps: Keeps,
    slow: Slow,
    /// Devices that start in each second of aging.
    starting: f64,
    /// Whether the recycle cuts connections.
    recycles: bool,
}

const STRANDS: Server = Server {
    devices: 400,
    heartbeat: 8,
    hold: true,
    counters: false,
    given_up: 40.0,
    keeps: Keeps::ForGood,
    slow: Slow::ByHeld,
    starting: 0.0,
    recycles: true,
};

impl Server {
    fn plan(&self, more: &str) -> Plan {
        let hold = if self.hold {
            format!("[[phase]]\nkind = \"hold\"\nduration = \"{HOLD}s\"\n")
        } else {
            String::new()
        };
        let text = format!(
            "name = \"synthetic\"\n[mock]\n[devices]\ncount = {}\nheartbeat = \"{}s\"\ngrace = \"4s\"\n\
             [mail]\nrate = 10\n\
             [[phase]]\nkind = \"baseline\"\nduration = \"{BASELINE}s\"\n\
             [[phase]]\nkind = \"aging\"\nduration = \"{AGING}s\"\n\
             abandon = {{ share = 0.5, after = \"1s\" }}\n{hold}\
             [[phase]]\nkind = \"recycle\"\nduration = \"{RECYCLE}s\"\ntrigger = \"mock\"\n\
             [[phase]]\nkind = \"recovered\"\nduration = \"{RECOVERED}s\"\n{more}",
            self.devices, self.heartbeat
        );
        parse("synthetic.toml", &text).unwrap()
    }

    fn timeline(&self, seed: u64) -> Vec<Interval> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let hold = if self.hold { HOLD } else { 0 };
        let aged = BASELINE + AGING;
        let recycle = aged + hold;
        let recovered = recycle + RECYCLE;
        // When each Ping was given up.
        let mut given_up: Vec<u32> = Vec::new();
        let all = 1..=recovered + RECOVERED;
        all.map(|second| {
            let phase = match second {
                _ if second <= BASELINE => "baseline",
                _ if second <= aged => "aging",
                _ if second <= recycle => "hold",
                _ if second <= recovered => "recycle",
                _ => "recovered",
            };
            let mut interval = Interval {
                t: second.into(),
                seconds: 1.0,
                phase: phase.to_owned(),
                ledger: LedgerCounts {
                    meant: 800,
                    accepted: 800,
                    synced: 800,
                    ..LedgerCounts::default()
                },
                ..Interval::default()
            };
            if phase == "aging" {
                let until = |second: u32| (self.given_up * f64::from(second - BASELINE)) as u32;
                let whole = until(second) - until(second - 1);
                given_up.extend((0..whole).map(|_| second));
                interval
                    .counts
                    .insert("pings_abandoned".to_owned(), whole.into());
            }
            let is_recycled = self.recycles && second > recycle;
            let is_within = |at: &&u32| **at + self.heartbeat > second;
            let held = match self.keeps {
                Keeps::Nothing => given_up.iter().filter(|at| **at == second).count(),
                Keeps::UntilHeartbeat => given_up.iter().filter(is_within).count(),
                Keeps::ForGood if is_recycled => 0,
                Keeps::ForGood | Keeps::BeyondRecycle => given_up.len(),
            };
            let census = if is_recycled {
                0
            } else {
                given_up.iter().filter(is_within).count()
            };
            self.gauges(&mut interval, held, census, &mut random);
            if self.recycles && second == recycle + 1 {
                let cut = u64::from(self.devices) * 3 / 4;
                interval
                    .counts
                    .insert(Counter::PingsCut.as_str().to_owned(), cut);
                interval
                    .counts
                    .insert(Counter::Closed.as_str().to_owned(), cut);
            }
            let factor = match (self.slow, phase) {
                (Slow::ByHeld, _) => 1.0 + held as f64 / 30.0,
                (Slow::HardlyBetter, "recycle" | "recovered") => 2.7,
                (Slow::HardlyBetter, _) => {
                    let half = self.given_up * f64::from(AGING) / 2.0;
                    if given_up.len() as f64 > half {
                        3.6
                    } else {
                        1.0
                    }
                }
                (Slow::InAging, "aging") | (Slow::UntilRecyclePhase, "aging" | "hold") => 10.0,
                _ => 1.0,
            };
            if self.slow == Slow::Unavailable && phase == "aging" {
                for counter in [Counter::HttpErrors, Counter::Unavailable] {
                    interval.counts.insert(counter.as_str().to_owned(), 10);
                }
            }
            latencies(&mut interval, factor, &mut random);
            interval
        })
        .collect()
    }

    fn gauges(
        &self,
        interval: &mut Interval,
        held: usize,
        census: usize,
        random: &mut Xoshiro256PlusPlus,
    ) {
        let since = (interval.t - f64::from(BASELINE)).clamp(0.0, f64::from(AGING));
        let late = self.starting * f64::from(AGING);
        let open = f64::from(self.devices) - late + self.starting * since;
        let (held, census) = (held as f64, census as f64);
        let mut set = |name: &str, value: f64| {
            interval.gauges.insert(name.to_owned(), value);
        };
        set("devices.holding", open);
        set("devices.given_up", census);
        set("stranded", census);
        set("stranded.low", 0.0);
        if self.counters {
            // Requests come and go between the two readings.
            let noise: f64 = random.random_range(-2.0..2.0);
            set("server.active_requests", open + held + noise);
            set("server.workers", 1.0);
            set("stranded", (held + noise).max(0.0));
            set("stranded.low", (held + noise - 2.0).max(0.0));
        }
        let counts = [(Counter::PingsSent, 60), (Counter::Answers, 100)];
        for (counter, count) in counts {
            interval.counts.insert(counter.as_str().to_owned(), count);
        }
    }

    fn judged(&self, seed: u64, more: &str) -> Vec<Check> {
        let digest: Digest = self.timeline(seed).into_iter().collect();
        judge(&self.plan(more), &digest)
    }
}

fn latencies(interval: &mut Interval, factor: f64, random: &mut Xoshiro256PlusPlus) {
    for (metric, mean) in [(Metric::Sync, 20_000.0), (Metric::Notification, 100_000.0)] {
        let mut histogram = Histogram::new(2).unwrap();
        for _ in 0..40 {
            let draw: f64 = random.random_range(1e-9..1.0);
            let micros = (-draw.ln() * mean * factor) as u64 + 1;
            histogram.record(micros).unwrap();
        }
        let latency = Latency::of(&histogram).unwrap();
        interval
            .latencies
            .insert(metric.as_str().to_owned(), latency);
    }
}

fn check<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

/// The outcomes of `symptom` and `released` with every seed.
fn assert_outcomes(text: &str, server: Server, more: &str, symptom: Outcome, released: Outcome) {
    for seed in 1..=SEEDS {
        let checks = server.judged(seed, more);
        let found = (outcome(&checks, "symptom"), outcome(&checks, "released"));
        assert_eq!(
            found,
            (symptom, released),
            "{text}, seed {seed}: {checks:#?}"
        );
    }
}

/// Both checks pass with that evidence.
fn assert_passes(text: &str, server: Server, grade: Grade) {
    assert_outcomes(text, server, "", Outcome::Pass, Outcome::Pass);
    let checks = server.judged(1, "");
    for name in ["symptom", "released"] {
        let check = check(&checks, name);
        assert_eq!(check.evidence, Some(grade), "{text}: {check:?}");
        assert!(
            check
                .reason_with_evidence()
                .ends_with(&format!("[{}]", grade.as_str()))
        );
    }
}

#[test]
fn stranded_requests_are_seen_from_outside_with_a_hold_phase_and_not_without() {
    assert_passes("with hold", STRANDS, Grade::Outside);
    let without = Server {
        hold: false,
        ..STRANDS
    };
    assert_outcomes(
        "without hold",
        without,
        "",
        Outcome::NoData,
        Outcome::NoData,
    );
    let checks = without.judged(1, "");
    let symptom = check(&checks, "symptom");
    assert_eq!(symptom.evidence, Some(Grade::Possible));
    assert!(
        symptom.reason.contains("a hold phase of 18s or more")
            && symptom.reason.contains("Active Requests"),
        "{symptom:?}"
    );
    let absent = "[checks]\nsymptom = \"absent\"\n";
    for seed in 1..=SEEDS {
        assert_eq!(
            outcome(&STRANDS.judged(seed, absent), "symptom"),
            Outcome::Fail
        );
        assert_eq!(
            outcome(&without.judged(seed, absent), "symptom"),
            Outcome::NoData
        );
    }
}

#[test]
fn counters_show_stranded_requests_with_a_hold_phase_and_past_the_heartbeat_without() {
    let counted = Server {
        counters: true,
        ..STRANDS
    };
    assert_passes("with hold", counted, Grade::Server);
    let without = Server {
        hold: false,
        ..counted
    };
    assert_passes("without hold", without, Grade::Server);
    // No heartbeat has ended when aging ends.
    let long = Server {
        heartbeat: 60,
        ..without
    };
    assert_outcomes("long heartbeat", long, "", Outcome::NoData, Outcome::NoData);
    let kept = Server {
        keeps: Keeps::BeyondRecycle,
        ..counted
    };
    assert_outcomes("kept", kept, "", Outcome::Pass, Outcome::Fail);
}

/// A server that is slow because of its processor, or because mail is sent to it.
#[test]
fn a_server_that_is_slow_for_another_reason_does_not_strand() {
    let slow = Server {
        keeps: Keeps::Nothing,
        ..STRANDS
    };
    for (text, slow) in [
        (
            "in aging",
            Server {
                slow: Slow::InAging,
                ..slow
            },
        ),
        (
            "until the recycle phase",
            Server {
                slow: Slow::UntilRecyclePhase,
                ..slow
            },
        ),
    ] {
        for hold in [true, false] {
            for counters in [true, false] {
                let server = Server {
                    hold,
                    counters,
                    ..slow
                };
                let text = format!("{text}, hold {hold}, counters {counters}");
                assert_outcomes(&text, server, "", Outcome::NoData, Outcome::NoData);
            }
        }
    }
    let ended = Server {
        slow: Slow::InAging,
        ..slow
    };
    let checks = ended.judged(1, "");
    assert_eq!(
        check(&checks, "symptom").reason,
        "what made the service worse ended by itself when devices stopped giving Pings up"
    );
}

/// Their open requests rise, and stranded requests do not.
#[test]
fn devices_that_start_in_aging_are_no_stranded_requests() {
    let starting = Server {
        counters: true,
        given_up: 0.0,
        keeps: Keeps::Nothing,
        slow: Slow::Never,
        starting: 5.0,
        ..STRANDS
    };
    let absent = "[checks]\nsymptom = \"absent\"\n";
    assert_outcomes("absent", starting, absent, Outcome::Pass, Outcome::Skipped);
    assert_outcomes("expected", starting, "", Outcome::NoData, Outcome::NoData);
    let strands = Server {
        given_up: 40.0,
        keeps: Keeps::ForGood,
        ..starting
    };
    assert_outcomes("strands", strands, absent, Outcome::Fail, Outcome::Pass);
}

/// The recycle only cuts connections.
#[test]
fn pings_that_end_at_their_heartbeat_are_not_released_by_a_recycle() {
    let ends = Server {
        keeps: Keeps::UntilHeartbeat,
        ..STRANDS
    };
    for hold in [true, false] {
        for counters in [true, false] {
            let server = Server {
                hold,
                counters,
                ..ends
            };
            let text = format!("hold {hold}, counters {counters}");
            assert_outcomes(&text, server, "", Outcome::NoData, Outcome::NoData);
        }
    }
    // With both it is proven that nothing is stranded.
    let absent = "[checks]\nsymptom = \"absent\"\n";
    let proven = Server {
        counters: true,
        ..ends
    };
    assert_outcomes("proven", proven, absent, Outcome::Pass, Outcome::Skipped);
}

/// One request in ten is answered 503.
#[test]
fn errors_in_aging_are_no_stranded_requests() {
    for hold in [true, false] {
        let errors = Server {
            keeps: Keeps::Nothing,
            slow: Slow::Unavailable,
            hold,
            ..STRANDS
        };
        assert_outcomes("errors", errors, "", Outcome::NoData, Outcome::NoData);
    }
}

/// What devices gave up is an upper bound of what a healthy server holds.
#[test]
fn healthy_server_without_counters_does_not_fail_released() {
    for (hold, heartbeat) in [(false, 60), (true, 60), (true, 8)] {
        let healthy = Server {
            keeps: Keeps::Nothing,
            slow: Slow::Never,
            given_up: 4.0,
            recycles: false,
            hold,
            heartbeat,
            ..STRANDS
        };
        let any = "[checks]\nrecycle = \"any\"\n";
        assert_outcomes("healthy", healthy, any, Outcome::NoData, Outcome::NoData);
    }
}

/// A recycle that does not help is `restored`'s to tell; from outside nobody knows what it released.
#[test]
fn recycle_that_does_not_help_passes_nothing_from_outside() {
    let kept = Server {
        keeps: Keeps::BeyondRecycle,
        ..STRANDS
    };
    for hold in [true, false] {
        let server = Server { hold, ..kept };
        assert_outcomes("kept", server, "", Outcome::NoData, Outcome::NoData);
        assert_eq!(outcome(&server.judged(1, ""), "restored"), Outcome::Fail);
    }
}

/// The service stays more than half as bad as it was.
#[test]
fn recycle_that_hardly_helps_passes_nothing_from_outside() {
    const MORE: &str = "[checks]\nsymptom_factor = 3\n";
    let server = Server {
        slow: Slow::HardlyBetter,
        ..STRANDS
    };
    let mut told = 0;
    for seed in 1..=SEEDS {
        let checks = server.judged(seed, MORE);
        let symptom = check(&checks, "symptom");
        assert_eq!(symptom.outcome, Outcome::NoData, "seed {seed}: {checks:#?}");
        let why = "the recycle was not shown to make the service better";
        told += u64::from(symptom.reason.contains(why));
    }
    // In the others chance makes another step fail before.
    assert!(told > SEEDS / 4, "{told} of {SEEDS}");
    let cured = Server {
        slow: Slow::ByHeld,
        ..server
    };
    assert_outcomes("cured", cured, MORE, Outcome::Pass, Outcome::Pass);
}

/// The server notices a FIN at its next poll, and three Pings are given up.
#[test]
fn what_was_just_given_up_is_not_stranded() {
    let polls = Server {
        devices: 40,
        heartbeat: 60,
        hold: false,
        counters: true,
        given_up: 0.1,
        keeps: Keeps::UntilHeartbeat,
        slow: Slow::Never,
        ..STRANDS
    };
    let absent = "[checks]\nsymptom = \"absent\"\n";
    for seed in 1..=SEEDS {
        assert_eq!(
            outcome(&polls.judged(seed, absent), "symptom"),
            Outcome::Pass
        );
    }
    // Some thirty of them are more than come and go, and may be held by right.
    let many = Server {
        given_up: 1.0,
        ..polls
    };
    // Held for longer than their heartbeats they are stranded.
    let stranded = Server {
        heartbeat: 8,
        keeps: Keeps::ForGood,
        ..many
    };
    for seed in 1..=SEEDS {
        assert_eq!(
            outcome(&many.judged(seed, absent), "symptom"),
            Outcome::NoData
        );
        assert_eq!(
            outcome(&stranded.judged(seed, absent), "symptom"),
            Outcome::Fail
        );
    }
}

/// Servers with a counter that is wrong in every reading: what it says is neither believed nor passed over in silence.
#[test]
fn wrong_counters_prove_nothing() {
    let absent = "[checks]\nsymptom = \"absent\"\n";
    let honest = Server {
        counters: true,
        given_up: 0.0,
        keeps: Keeps::Nothing,
        slow: Slow::Never,
        hold: false,
        ..STRANDS
    };
    let strands = Server {
        given_up: STRANDS.given_up,
        keeps: Keeps::ForGood,
        slow: Slow::ByHeld,
        ..honest
    };
    for seed in 1..=SEEDS {
        assert_eq!(
            outcome(&honest.judged(seed, absent), "symptom"),
            Outcome::Pass
        );
        for (server, wrong) in [
            (strands, 0.0),
            (strands, -1.0),
            (strands, 100.0),
            (honest, 100.0),
        ] {
            let digest: Digest = server
                .timeline(seed)
                .into_iter()
                .map(|mut interval| {
                    let mut set =
                        |name: &str, value: f64| interval.gauges.insert(name.to_owned(), value);
                    set("server.active_requests", wrong);
                    set("stranded", 0.0);
                    set("stranded.low", 0.0);
                    interval
                })
                .collect();
            let checks = judge(&server.plan(absent), &digest);
            let symptom = check(&checks, "symptom");
            assert_eq!(
                symptom.outcome,
                Outcome::NoData,
                "{wrong}, seed {seed}: {symptom:?}"
            );
            assert!(
                symptom
                    .reason
                    .starts_with("the server's figures are doubted: "),
                "{wrong}: {symptom:?}"
            );
        }
    }
}

/// From outside, nothing gathers only where hardly any Ping ended without the server's answer: a server may go on holding
/// those that a gateway ended.
#[test]
fn pings_that_a_gateway_ends_may_strand() {
    let absent = "[checks]\nsymptom = \"absent\"\n";
    let healthy = Server {
        given_up: 0.0,
        keeps: Keeps::Nothing,
        slow: Slow::Never,
        hold: false,
        ..STRANDS
    };
    for seed in 1..=SEEDS {
        assert_eq!(
            outcome(&healthy.judged(seed, absent), "symptom"),
            Outcome::Pass
        );
        for ended in [
            Counter::PingsCut,
            Counter::PingsLost,
            Counter::PingsTimedOut,
            Counter::PingsOverdue,
        ] {
            let digest: Digest = healthy
                .timeline(seed)
                .into_iter()
                .map(|mut interval| {
                    interval.counts.insert(ended.as_str().to_owned(), 3);
                    interval
                })
                .collect();
            let checks = judge(&healthy.plan(absent), &digest);
            assert_eq!(
                outcome(&checks, "symptom"),
                Outcome::NoData,
                "{ended:?}, seed {seed}"
            );
        }
    }
}
