//! Sources that lie, hang or flood: the run goes on without them and says so.

use std::time::Duration;

use easload::observe::Sources;
use figures::Scope;
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
        let cases =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/figures/tests/data");
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
