//! Sources that lie, hang or flood: the run goes on without them and says so.

use std::time::Duration;

use easload::observe::{self, Scope, Sources};
use proptest::prelude::*;
use scenario::{Format, Place, SourcePlan};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::fixtures::eventually;

fn scope() -> Scope {
    Scope {
        pool: "MSExchangeSyncAppPool".to_owned(),
        client_port: 443,
        back_end_port: 444,
    }
}

fn source(place: Place, format: Format) -> SourcePlan {
    SourcePlan {
        server: "EX01".to_owned(),
        place,
        format,
        every: Duration::from_secs(1),
        stale_after: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_scrape_that_hangs_refuses_floods_or_answers_html_is_told_and_survived() {
    let server = MockServer::start().await;
    let good = "windows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"7\"} 5\n";
    for (at, answer) in [
        (
            "/hangs",
            ResponseTemplate::new(200).set_delay(Duration::from_secs(60)),
        ),
        ("/refuses", ResponseTemplate::new(401)),
        (
            "/html",
            ResponseTemplate::new(200).set_body_string("<html>sign in</html>"),
        ),
        (
            "/floods",
            ResponseTemplate::new(200).set_body_bytes(vec![b'x'; 16 << 20]),
        ),
        ("/good", ResponseTemplate::new(200).set_body_string(good)),
    ] {
        Mock::given(path(at))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let url = |at: &str| {
        source(
            Place::Url(format!("{}{at}", server.uri())),
            Format::Exporter,
        )
    };
    let plans = [
        url("/hangs"),
        url("/refuses"),
        url("/html"),
        url("/floods"),
        source(Place::Command("exit 3".to_owned()), Format::Values),
        source(Place::Path("/no/such/file".into()), Format::Netstat),
        url("/good"),
    ];
    let mut sources = Sources::start(&plans, &scope(), std::sync::Arc::new(|| 3), None);
    let parts = [
        "timed out",
        "401",
        "<html>sign in",
        "more than",
        "exit status: 3",
        "No such file",
    ];
    // A machine with much to do lets any of them time out first: what each tells in the end counts.
    eventually("every source was read or told why not", || async {
        let reports = sources.reports();
        let (good, bad) = reports.split_last().unwrap();
        let told = bad.iter().zip(parts).all(|(report, part)| {
            let failure = report.last_failure.as_deref();
            failure.is_some_and(|failure| failure.contains(part)) && report.readings == 0
        });
        told && good.readings > 0
    })
    .await;
    let (gauges, open) = sources.sample();
    assert_eq!(gauges["server.active_requests"], 5.0);
    assert_eq!(open, Some((3.0, 3.0)));
}

#[tokio::test]
async fn a_misspelt_figure_is_told_and_one_of_ones_own_is_not() {
    let printed = |text: &str| {
        let command = format!("echo '{text}'");
        source(Place::Command(command), Format::Values)
    };
    let plans = [printed("actve_requests 7"), printed("my_figure 7")];
    let mut sources = Sources::start(&plans, &scope(), std::sync::Arc::new(|| 3), None);
    eventually("both sources were read", || async {
        let reports = sources.reports();
        reports.iter().all(|report| report.readings > 0)
    })
    .await;
    assert_eq!(sources.sample().0["custom.actve_requests"], 7.0);
    let name = sources.reports()[0].name.clone();
    assert_eq!(
        name, "EX01, values from the command echo",
        "arguments may hold secrets"
    );
    let misspelt: Vec<_> = sources
        .reports()
        .into_iter()
        .map(|report| report.misspelt)
        .collect();
    assert_eq!(
        misspelt,
        [
            vec!["custom.actve_requests: did you mean `active_requests`?".to_owned()],
            Vec::new()
        ]
    );
}

#[tokio::test]
async fn what_is_left_out_of_a_text_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let case = |name: &str| {
        let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cases");
        std::fs::read_to_string(cases.join(name)).unwrap()
    };
    let file = |name: &str, text: String, format| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        source(Place::Path(file), format)
    };
    let right = case("d1-exporter-031.prom");
    let plans = [
        file("right", right.clone(), Format::Exporter),
        file(
            "wrong",
            right.replace("2.4561", "42949.67"),
            Format::Exporter,
        ),
        source(
            Place::Command(format!(
                "echo '{}'; date +%s%N",
                right.replace("2.4561", "-1")
            )),
            Format::Exporter,
        ),
        file("rows", case("d7-typeperf-mismatch.csv"), Format::Perfmon),
    ];
    let mut sources = Sources::start(&plans, &scope(), std::sync::Arc::new(|| 3), None);
    eventually(
        "every source was read, the command several times",
        || async {
            let reports = sources.reports();
            reports[..2].iter().all(|report| report.readings > 0)
                && reports[2].readings > 2
                && reports[3].failures > 0
        },
    )
    .await;
    let reports = sources.reports();
    let overflow = "a value of windows_netframework_clrmemory_gc_time_percent counts as no sample: it is \
                    no percentage; windows_exporter before 0.32 can overflow here";
    assert_eq!(reports[0].remarks, [""; 0]);
    assert_eq!(reports[1].remarks, [overflow]);
    assert_eq!(
        reports[2]
            .remarks
            .iter()
            .filter(|remark| *remark == overflow)
            .count(),
        1
    );
    assert!(reports[2].remarks.len() <= 20, "{:?}", reports[2].remarks);
    let failure = reports[3].last_failure.as_deref().unwrap();
    assert!(
        failure.starts_with("line 2: expected 2 values"),
        "{failure}"
    );
    // Of several sources of a server the first counts.
    assert_eq!(sources.sample().0["server.gc_time"], 2.4561 / 100.0);
}

const FORMATS: [Format; 5] = [
    Format::Exporter,
    Format::Perfmon,
    Format::Netstat,
    Format::NetTcpConnection,
    Format::Values,
];

/// What each format looks like, to be damaged.
const SAMPLES: [&str; 5] = [
    "# TYPE windows_iis_worker_current_requests counter\nwindows_iis_worker_current_requests{app=\"MSExchangeSyncAppPool\",pid=\"4712\"} 1823\nwindows_tcp_connections_state_count{af=\"ipv4\",state=\"CLOSE_WAIT\"} 1760\n",
    "\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\EX01\\W3SVC_W3WP(4712_MSExchangeSyncAppPool)\\Active Requests\"\r\n\"03/14/2026 03:00:00.015\",\"1823\"\r\n",
    "\r\nAktive Verbindungen\r\n\r\n  Proto  Lokale Adresse  Remoteadresse  Status  PID\r\n  TCP    [fe80::1%4]:443  10.9.1.7:51514  ABHÖREN  4\r\n [w3wp.exe]\r\n",
    "#TYPE x\r\n\"LocalAddress\",\"LocalPort\",\"RemoteAddress\",\"RemotePort\",\"State\"\r\n\"10.0.0.5\",\"60122\",\"10.0.0.5\",\"444\",\"CloseWait\"\r\n",
    "active_requests 1823\nmine 2.5\n",
];

proptest! {
    /// Whatever bytes come: an answer or a mistake with its line, and no panic.
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for format in FORMATS {
            let _ = observe::parse(format, &bytes, &scope());
        }
        let _ = observe::history(&bytes, &scope(), Some(i32::MAX));
    }

    /// Texts that are cut, reordered, doubled or overwritten in places.
    #[test]
    fn no_damage_makes_a_parser_panic(
        which in 0..5_usize,
        cut in 0..400_usize,
        at in 0..400_usize,
        with in ".{0,12}",
        wide in any::<bool>(),
    ) {
        let mut text: Vec<char> = SAMPLES[which].repeat(2).chars().collect();
        let at = at.min(text.len());
        text.splice(at..at, with.chars());
        text.truncate(text.len().saturating_sub(cut));
        let text: String = text.into_iter().collect();
        let bytes = if wide {
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            text.into_bytes()
        };
        for format in FORMATS {
            if let Err(error) = observe::parse(format, &bytes, &scope()) {
                prop_assert!(error.line >= 1);
                prop_assert!(error.to_string().len() < 800);
            }
        }
        let _ = observe::history(&bytes, &scope(), None);
    }
}

/// A netstat of a server with 20,000 sockets, and a line without an end, take no notable time.
#[test]
fn gigantic_texts_are_read_or_refused() {
    let row = "  TCP    10.0.0.5:60122         10.0.0.5:444           CLOSE_WAIT      9120\r\n";
    let gauges = observe::parse(Format::Netstat, row.repeat(60_000).as_bytes(), &scope()).unwrap();
    assert_eq!(gauges["tcp.outgoing.close_wait"], 60_000.0);
    for format in FORMATS {
        let line = vec![b'7'; 8 << 20];
        assert!(observe::parse(format, &line, &scope()).is_err());
        let quoted = vec![b'"'; 1 << 20];
        assert!(observe::parse(format, &quoted, &scope()).is_err());
    }
}
