//! How often the judge is wrong, on made-up servers by the hundred. Alarms on a server that has
//! nothing, and findings on one that is twice as slow, where seconds are independent of each other and
//! where they are not. The figures are in docs/verdict.md.

use easload::judge::{Change, Outcome};

use crate::compare::compared;
use crate::story::{Story, Weather, outcome};

/// Servers of each kind; as many as EASLOAD_SEEDS says instead, as for the figures in docs/verdict.md.
/// The main question is asked more often than its variations, which cost a minute more.
const MANY: u64 = 1000;
const SOME: u64 = 200;
/// Seeds of the second run of a pair.
const APART: u64 = 1 << 32;
/// Shares of wrong answers that are borne: of servers that have nothing, and of those that are ill.
const MOST_ALARMS: f64 = 0.05;
const LEAST_POWER: f64 = 0.90;

/// A server whose slow and busy seconds come in runs: six tenths of an excess are left a second
/// later, the pace varies by 12 % and the requests by 2 % of the devices.
const CHANGEABLE: Weather = Weather {
    memory: 0.6,
    requests: 10.0,
    pace: 0.12,
};

/// Shares of the seeds with each answer, in the order of `answers`.
fn shares<T: PartialEq + Send + 'static, const N: usize>(
    seeds: u64,
    answers: [T; N],
    of: impl Fn(u64) -> T + Copy + Send + 'static,
) -> [f64; N] {
    const THREADS: u64 = 2;
    let seeds = std::env::var("EASLOAD_SEEDS").map_or(seeds, |text| text.parse().unwrap());
    let threads: Vec<_> = (0..THREADS)
        .map(|part| {
            std::thread::spawn(move || {
                let seeds = (0..seeds).filter(|seed| seed % THREADS == part);
                seeds.map(of).collect::<Vec<_>>()
            })
        })
        .collect();
    let all: Vec<T> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    answers.map(|answer| all.iter().filter(|one| **one == answer).count() as f64 / seeds as f64)
}

const OUTCOMES: [Outcome; 3] = [Outcome::Pass, Outcome::NoData, Outcome::Fail];

/// Pass, no data, fail of `restored`.
fn restored(seeds: u64, after: f64, weather: Option<Weather>, more: &'static str) -> [f64; 3] {
    shares(seeds, OUTCOMES, move |seed| {
        let story = Story {
            after,
            seed,
            weather,
            ..Story::default()
        };
        outcome(&story.judged(more), "restored")
    })
}

#[test]
fn restored_has_few_false_alarms_and_finds_a_doubling() {
    for (weather, text, seeds) in [
        (None, "steady", MANY),
        (Some(CHANGEABLE), "changeable", SOME),
    ] {
        let well = restored(seeds, 1.0, weather, "");
        let slow = restored(seeds, 2.0, weather, "");
        // As slow as is just allowed, in all six figures at once: the worst that is no fault.
        let bound = restored(SOME, 1.25, weather, "[checks]\nslack = \"0s\"\n");
        println!("restored, {text}: as before {well:?}, at the bound {bound:?}, doubled {slow:?}");
        assert!(well[2] <= MOST_ALARMS, "{text}: {well:?}");
        assert!(bound[2] <= MOST_ALARMS, "{text}: {bound:?}");
        assert!(slow[2] >= LEAST_POWER, "{text}: {slow:?}");
        assert_eq!(slow[0], 0.0, "{text}: a doubling passed: {slow:?}");
    }
}

/// Pass, no data, fail of `symptom`.
fn symptom(strands: f64, degraded: f64, weather: Option<Weather>, more: &'static str) -> [f64; 3] {
    shares(SOME, OUTCOMES, move |seed| {
        let story = Story {
            strands,
            degraded,
            seed,
            weather,
            ..Story::default()
        };
        outcome(&story.judged(more), "symptom")
    })
}

#[test]
fn symptom_is_seldom_seen_where_none_is_and_found_where_latency_doubles() {
    for (weather, text) in [(None, "steady"), (Some(CHANGEABLE), "changeable")] {
        // Slow for another reason, so that only the counters can tell.
        let slow = symptom(0.0, 3.0, weather, "");
        let absent = symptom(0.0, 1.0, weather, "[checks]\nsymptom = \"absent\"\n");
        // Twice the baseline in the middle of the last third of aging.
        let ill = symptom(5.0, 2.2, weather, "");
        println!("symptom, {text}: slow {slow:?}, none {absent:?}, ill {ill:?}");
        assert!(slow[0] <= MOST_ALARMS, "{text}: {slow:?}");
        assert!(absent[2] <= MOST_ALARMS, "{text}: {absent:?}");
        assert!(ill[0] >= LEAST_POWER, "{text}: {ill:?}");
    }
}

/// Nothing but the mails tells: they wait 3 s each, and five times as long at the end of aging
/// or after the recycle. What waits three times as long is at least not passed.
#[test]
fn mails_that_wait_give_few_false_alarms_and_are_found() {
    for (weather, text) in [(None, "steady"), (Some(CHANGEABLE), "changeable")] {
        let of = |check: &'static str, waits: [f64; 3]| {
            shares(SOME, OUTCOMES, move |seed| {
                let story = Story {
                    degraded: 1.0,
                    waits,
                    seed,
                    weather,
                    ..Story::default()
                };
                outcome(&story.judged(""), check)
            })
        };
        let calm = of("symptom", [3.0; 3]);
        let ill = of("symptom", [3.0, 18.0, 3.0]);
        let well = of("restored", [3.0; 3]);
        let late = of("restored", [3.0, 3.0, 15.0]);
        let some = of("restored", [3.0, 3.0, 9.0]);
        println!(
            "waits, {text}: calm {calm:?}, ill {ill:?}, well {well:?}, late {late:?}, some {some:?}"
        );
        assert!(calm[0] <= MOST_ALARMS, "{text}: {calm:?}");
        assert!(ill[0] >= LEAST_POWER, "{text}: {ill:?}");
        assert!(well[2] <= MOST_ALARMS, "{text}: {well:?}");
        assert!(late[2] >= LEAST_POWER, "{text}: {late:?}");
        assert!(some[0] <= MOST_ALARMS, "{text}: {some:?}");
    }
}

/// Same, better, worse of a comparison of a healthy run with another.
fn compare(strands: f64, degraded: f64, weather: Option<Weather>) -> [f64; 3] {
    shares(
        SOME,
        [Change::Same, Change::Better, Change::Worse],
        move |seed| {
            let story = |strands, degraded, seed| Story {
                strands,
                degraded,
                seed,
                weather,
                ..Story::default()
            };
            let before = story(0.0, 1.0, seed).digest();
            compared(&before, &story(strands, degraded, seed + APART).digest()).change
        },
    )
}

#[test]
fn compare_says_same_of_equals_and_worse_of_a_doubling() {
    for (weather, text) in [(None, "steady"), (Some(CHANGEABLE), "changeable")] {
        let (equal, double) = (compare(0.0, 1.0, weather), compare(0.0, 3.0, weather));
        println!("compare, {text}: equal {equal:?}, doubled {double:?} (same, better, worse)");
        assert!(equal[1] + equal[2] <= MOST_ALARMS, "{text}: {equal:?}");
        assert!(double[2] >= LEAST_POWER, "{text}: {double:?}");
    }
}
