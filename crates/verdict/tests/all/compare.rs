//! Two runs side by side.

use verdict::judge::{Change, Changes, Digest, Side, compare, differences};

use crate::story::{Story, plan};

pub(crate) fn compared(before: &Digest, after: &Digest) -> Changes {
    let plan = plan("");
    let side = |digest| Side {
        plan: &plan,
        digest,
    };
    compare(side(before), side(after))
}

fn healthy(seed: u64) -> Story {
    Story {
        strands: 0.0,
        degraded: 1.0,
        seed,
        ..Story::default()
    }
}

/// Of forty pairs of equal runs none may be called worse or better: every row of every one.
#[test]
fn two_healthy_runs_are_the_same() {
    for seed in 0..40 {
        let changes = compared(&healthy(seed).digest(), &healthy(seed + 1000).digest());
        let proven: Vec<_> = changes
            .rows
            .iter()
            .filter(|row| {
                let is_doubtful = row.change == Change::CannotTell && row.is_noticeable;
                is_doubtful || matches!(row.change, Change::Worse | Change::Better)
            })
            .collect();

        assert_eq!(changes.change, Change::Same, "{proven:#?}");
    }
}

#[test]
fn aging_against_healthy_is_worse_and_the_other_way_round_better() {
    let (well, ill) = (healthy(1).digest(), Story::default().digest());
    let changes = compared(&well, &ill);
    assert_eq!(changes.change, Change::Worse);
    let of = |changes: &Changes, phase: &str, figure: &str| {
        let mut rows = changes.rows.iter();
        let row = rows.find(|row| row.phase == phase && row.figure == figure);
        row.unwrap_or_else(|| panic!("{phase} {figure}")).change
    };
    for figure in [
        "sync.p95",
        "notification.p95",
        "stranded",
        "server.active_requests",
        "server.private_bytes",
    ] {
        assert_eq!(of(&changes, "aging", figure), Change::Worse, "{figure}");
        assert_eq!(of(&changes, "baseline", figure), Change::Same, "{figure}");
        assert_eq!(of(&changes, "recovered", figure), Change::Same, "{figure}");
    }
    let back = compared(&ill, &well);
    assert_eq!(back.change, Change::Better);
    assert_eq!(of(&back, "aging", "sync.p95"), Change::Better);
}

/// A run of `seconds` seconds whose Syncs take `millis`, `each` a second; the server's levels stay as they are.
fn syncing(seconds: u32, each: u64, millis: u64) -> Digest {
    use verdict::timeline::{Interval, Latency};
    let interval = |second: u32| {
        let mut histogram = hdrhistogram::Histogram::<u64>::new(3).unwrap();
        for one in 0..each {
            // Within a tenth of the mean.
            let spread = (u64::from(second) * 7 + one * 13) % 20;
            let micros = millis * 1000 * (90 + spread) / 100;
            histogram.record(micros).unwrap();
        }
        let latency = Latency::of(&histogram).unwrap();
        Interval {
            t: f64::from(second),
            seconds: 1.0,
            phase: "baseline".to_owned(),
            counts: [("answers".to_owned(), 100)].into(),
            gauges: [("server.active_requests".to_owned(), 1000.0)].into(),
            latencies: [("sync".to_owned(), latency)].into(),
            ..Interval::default()
        }
    };
    (1..=seconds).map(interval).collect()
}

/// Few samples prove nothing: a difference that would matter is neither "same" nor "worse".
#[test]
fn a_large_difference_of_few_samples_cannot_be_told() {
    let cases = [
        // Samples: seconds, of each second; milliseconds before and after.
        ((9, 5), 6, 339, Change::CannotTell),
        ((9, 5), 339, 6, Change::CannotTell),
        // Enough samples, and too few intervals.
        ((4, 50), 6, 339, Change::CannotTell),
        // The controls: enough of both proves it, and nothing to prove is nothing to doubt.
        ((30, 20), 6, 339, Change::Worse),
        ((30, 20), 339, 6, Change::Better),
        ((30, 20), 339, 339, Change::Same),
        ((9, 5), 6, 6, Change::Same),
    ];
    for ((seconds, each), before, after, expected) in cases {
        let changes = compared(
            &syncing(seconds, each, before),
            &syncing(seconds, each, after),
        );
        let said = format!("{seconds} s of {each}: {before} ms → {after} ms: {changes:#?}");
        assert_eq!(changes.change, expected, "{said}");
        let row = changes.rows.iter().find(|row| row.figure == "sync.p50");
        let row = row.unwrap();
        let is_large = before != after;
        assert_eq!(row.is_noticeable, is_large, "{said}");
        if expected == Change::CannotTell {
            assert_eq!(row.change, Change::CannotTell, "{said}");
            let text = verdict::report::changes_text(&changes, "a", "b", false);
            assert!(text.ends_with("Change: cannot tell\n"), "{text}");
            assert!(text.contains("sync.p50"), "{text}");
        }
    }
}

#[test]
fn a_failing_share_of_few_requests_cannot_be_told() {
    use verdict::timeline::Interval;
    let failing = |requests: u64, failed: u64| -> Digest {
        let interval = |second: u32| Interval {
            t: f64::from(second),
            seconds: 1.0,
            phase: "baseline".to_owned(),
            counts: [
                ("answers".to_owned(), requests),
                ("http_errors".to_owned(), failed),
            ]
            .into(),
            ..Interval::default()
        };
        (1..=10).map(interval).collect()
    };
    for (requests, failed, expected) in [
        // One of ten requests.
        (1, 0, Change::CannotTell),
        (2, 0, Change::CannotTell),
        (100, 0, Change::Same),
        (100, 5, Change::Worse),
        // Everything fails, and that is proven soon.
        (2, 2, Change::Worse),
    ] {
        let changes = compared(&failing(requests, 0), &failing(requests, failed));
        assert_eq!(changes.rows[0].figure, "failing");
        assert_eq!(changes.rows[0].change, expected, "{requests} {failed}");
    }
}

/// A share of nothing and almost nothing is no base for a number with ten digits.
#[test]
fn ratios_are_bounded_in_what_people_read() {
    use verdict::report::{changes_markdown, changes_text};
    let with_share = |share: f64| -> Digest {
        let digest = syncing(30, 20, 6);
        let with = digest.intervals.into_iter().map(|mut interval| {
            interval.gauges.insert("server.gc_time".to_owned(), share);
            interval
        });
        with.collect()
    };
    for (before, after, shown) in [
        (1e-10, 0.5, "> 1000× (> 1000× to > 1000×)"),
        (0.0, 0.5, "from 0"),
        (0.1, 0.5, "5.00× (5.00× to 5.00×)"),
    ] {
        let changes = compared(&with_share(before), &with_share(after));
        let texts = [
            changes_text(&changes, "a", "b", false),
            changes_markdown(&changes, "a", "b", false),
        ];
        for text in texts {
            let line = text.lines().find(|line| line.contains("server.gc_time"));
            assert!(line.unwrap().contains(shown), "{before}: {text}");
        }
        let json = serde_json::to_value(&changes).unwrap();
        let back: Changes = serde_json::from_value(json).unwrap();
        assert_eq!(back, changes);
    }
}

#[test]
fn what_was_not_measured_is_not_comparable() {
    let changes = compared(&healthy(1).digest(), &Digest::default());
    assert_eq!(changes.change, Change::NotComparable);
    assert!(
        changes
            .rows
            .iter()
            .all(|row| row.change == Change::NotComparable)
    );
}

#[test]
fn runs_of_different_loads_are_refused_and_other_servers_are_not() {
    let same = plan("[checks]\nslack = \"1s\"\n");
    assert_eq!(differences(&plan(""), &same), [""; 0]);
    let mut other = plan("");
    other.devices.count = 600;
    other.phases.pop();
    let found = differences(&plan(""), &other);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], "devices: 500 and 600");
    let mut other = plan("");
    other.devices.profiles[0].window = 50;
    let found = differences(&plan(""), &other);
    assert!(
        found.len() == 1 && found[0].contains("window 25 and ") && found[0].ends_with("window 50"),
        "{found:?}"
    );
    let mut other = plan("");
    other.devices.tls_resumption = false;
    let found = differences(&plan(""), &other);
    assert_eq!(found, ["TLS: as agreed and every TLS handshake a full one"]);
    let over = |keys: &str| {
        let text = format!(
            "name = \"x\"\n[target]\nurl = \"https://mail\"\n{keys}\n[devices]\ncount = 1\n\
             user = \"load#\"\npassword_env = \"X\"\n[[phase]]\nkind = \"baseline\"\nduration = \"1s\"\n"
        );
        scenario::parse("x.toml", &text).unwrap()
    };
    let found = differences(&over(""), &over("transport = \"reqwest\"\nhttp2 = true"));
    assert_eq!(found, ["transport: lean and HTTP/2 by reqwest"]);
}
