//! What a run leaves for other programs, read by implementations that nobody of this project wrote:
//! xmllint with the schema that CI systems use, HdrHistogram_py, prometheus_client, jsonschema.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::fixtures::program;

/// Set where the programs are installed: then none of them may be missing.
const REQUIRE: &str = "EASLOAD_REQUIRE_OUTPUT_ORACLES";
/// A Python that has the libraries.
const PYTHON: &str = "EASLOAD_PYTHON";

/// A run of ten seconds that fails: nobody recycles.
const SCENARIO: &str = "
name = \"outputs\"
[mock]
min_heartbeat = \"1s\"
[mock.pool]
shutdown_time_limit = \"1s\"
[devices]
count = 20
heartbeat = \"2s\"
ramp = \"1s\"
[mail]
rate = 20
door = \"control\"
late_after = \"5s\"
[[phase]]
kind = \"ramp\"
duration = \"2s\"
[[phase]]
kind = \"baseline\"
duration = \"5s\"
[[phase]]
kind = \"recycle\"
duration = \"2s\"
[checks]
symptom = \"any\"
recycle = \"expected\"
thresholds = [\"notify.p95 < 10s\", \"sync.p50.baseline < 1us\"]
";

pub(crate) struct Played {
    folder: TempDir,
    pub(crate) directory: PathBuf,
    output: Output,
    /// `/metrics` in the middle of the run.
    metrics: String,
}

pub(crate) fn played() -> &'static Played {
    static PLAYED: OnceLock<Played> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let scenario = folder.path().join("outputs.toml");
        // 1 us is no duration of a scenario; the threshold is one that cannot hold.
        std::fs::write(&scenario, SCENARIO.replace("1us", "0s")).unwrap();
        let write = |name: &str| format!("{name}={}", folder.path().join(name).display());
        let mut child = Command::new(program())
            .args([
                "run",
                "--quiet",
                "--seed",
                "5",
                "--metrics",
                "127.0.0.1:0",
                "--runs",
            ])
            .arg(folder.path().join("runs"))
            .arg(&scenario)
            .args(["--write", &write("junit"), "--write", &write("markdown")])
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", folder.path().join("page.md"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let metrics = scrape(child.stderr.take().unwrap());
        let output = child.wait_with_output().unwrap();
        let mut runs = std::fs::read_dir(folder.path().join("runs")).unwrap();
        let directory = runs.next().unwrap().unwrap().path();
        Played {
            directory,
            output,
            metrics,
            folder,
        }
    })
}

/// Reads the address from standard error and asks until seconds of the run are told.
fn scrape(stderr: impl std::io::Read + Send + 'static) -> String {
    use std::io::BufRead as _;
    let mut lines = std::io::BufReader::new(stderr).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("OpenMetrics at ")?.to_owned()))
        .expect("the address is told");
    // What else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        loop {
            let answer = mock_client::plain_http()
                .build()
                .unwrap()
                .get(&address)
                .send()
                .await
                .unwrap();
            let kind = answer.headers()["content-type"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
            let text = answer.text().await.unwrap();
            if text.contains("easload_latency_seconds{metric=\"notification\"") {
                return text;
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    })
}

fn oracle(mut command: Command, name: &str) -> Option<Output> {
    let output = command.output().ok();
    if output.is_none() {
        assert!(std::env::var_os(REQUIRE).is_none(), "{name} is missing");
        println!("skipped: {name} is not here");
    }
    output
}

/// What Python's libraries read in a file.
fn python(what: &str, file: &Path) -> Option<Value> {
    let Some(python) = std::env::var_os(PYTHON) else {
        assert!(std::env::var_os(REQUIRE).is_none(), "{PYTHON} is not set");
        println!("skipped: {PYTHON} names no Python with the libraries");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracles/outputs.py");
    let mut command = Command::new(python);
    command.arg(script).arg(what).arg(file);
    let output = oracle(command, "python")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn report(format: &str, file: &Path) {
    let status = Command::new(program())
        .arg("report")
        .arg(&played().directory)
        .args(["--format", format, "--output"])
        .arg(file)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3), "the run's own verdict");
}

fn record() -> Value {
    serde_json::from_slice(&std::fs::read(played().directory.join("run.json")).unwrap()).unwrap()
}

#[test]
fn junit_is_valid_and_has_a_case_for_each_check() {
    let file = played().folder.path().join("junit");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("<failure") && text.contains("no recycle was seen"),
        "{text}"
    );
    let cases = text.matches("<testcase").count();
    assert_eq!(cases, record()["checks"].as_array().unwrap().len());
    let mut command = Command::new("xmllint");
    command
        .args(["--noout", "--schema"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/junit-10.xsd"))
        .arg(&file);
    if let Some(output) = oracle(command, "xmllint") {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn the_interval_log_is_read_by_another_implementation() {
    let file = played().folder.path().join("run.hlog");
    report("hlog", &file);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    let Some(read) = python("hlog", &file) else {
        return;
    };
    // Its reader passes over what it does not understand.
    assert_eq!(read["intervals"], lines);
    let phases = record()["phases"].as_array().unwrap().clone();
    for metric in ["sync", "notification", "accept"] {
        let counted: u64 = phases
            .iter()
            .filter_map(|phase| phase["latencies"][metric]["count"].as_u64())
            .sum();
        assert_eq!(read["samples"][metric], counted, "{metric}");
    }
}

#[test]
fn openmetrics_are_read_by_another_implementation() {
    let text = &played().metrics;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let file = played().folder.path().join("metrics.txt");
    std::fs::write(&file, text).unwrap();
    let Some(read) = python("openmetrics", &file) else {
        return;
    };
    for family in [
        "easload_events",
        "easload_level",
        "easload_latency_seconds",
        "easload_phase",
    ] {
        assert!(read[family].as_u64() > Some(0), "{family}: {read}");
    }
}

#[test]
fn sarif_is_read_by_another_implementation() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/iis/tests/data/exchange2016-applicationHost.config");
    let output = Command::new(program())
        .args(["policy", "lint", "--format", "sarif"])
        .arg(config)
        .output()
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), output.stdout).unwrap();
    let Some(read) = python("sarif", file.path()) else {
        return;
    };
    assert!(read["results"].as_u64() > Some(1), "{read}");
}

#[test]
fn github_gets_annotations_and_a_page() {
    let said = String::from_utf8_lossy(&played().output.stdout).into_owned();
    let annotations: Vec<&str> = said.lines().filter(|line| line.starts_with("::")).collect();
    let recycle = annotations
        .iter()
        .find(|line| line.contains("recycle seen"))
        .unwrap();
    assert!(
        recycle.starts_with("::error title=easload outputs%3A recycle seen::no recycle"),
        "{recycle}"
    );
    let failing = record()["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "fail" || check["outcome"] == "no_data")
        .count();
    assert_eq!(annotations.len(), failing);
    for page in ["page.md", "markdown"] {
        let text = std::fs::read_to_string(played().folder.path().join(page)).unwrap();
        assert!(text.starts_with("### easload: FAILED"), "{text}");
        assert!(text.contains("| recycle seen | **fail** |"), "{text}");
    }
}

#[test]
fn csv_has_every_figure_of_every_second() {
    let file = played().folder.path().join("run.csv");
    report("csv", &file);
    let mut reader = csv::Reader::from_path(&file).unwrap();
    let mut syncs = 0.0;
    for row in reader.records() {
        let row = row.unwrap();
        assert_eq!(row.len(), 6);
        let value: f64 = row[5].parse().unwrap();
        if &row[2] == "count" && &row[3] == "syncs" {
            syncs += value;
        }
    }
    let phases = record()["phases"].as_array().unwrap().clone();
    let counted: u64 = phases
        .iter()
        .filter_map(|phase| phase["counts"]["syncs"].as_u64())
        .sum();
    assert_eq!(syncs, counted as f64);
}

#[test]
fn a_threshold_fails_by_its_own_name() {
    let record = record();
    let checks = record["checks"].as_array().unwrap();
    let of = |part: &str| {
        let name = |check: &&Value| check["name"].as_str().unwrap().contains(part);
        checks.iter().find(name).unwrap()["outcome"].clone()
    };
    assert_eq!(of("notify.p95"), "pass");
    assert_eq!(of("sync.p50.baseline"), "fail");
}
