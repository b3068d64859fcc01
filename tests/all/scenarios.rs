//! Every scenario file, played by the built program; the run directory; the verdict's negative
//! control.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixtures::program;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// One at a time: two loads on two cores measure each other.
static PLAYING: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn play(scenario: Option<&str>, runs: &Path) -> Output {
    let _turn = PLAYING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut command = Command::new(program());
    command
        .args(["run", "--quiet", "--seed", "11", "--runs"])
        .arg(runs);
    if let Some(name) = scenario {
        command.arg(folder().join(name));
    }
    command.output().unwrap()
}

fn directory(runs: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(runs).unwrap();
    entries.next().expect("a run directory").unwrap().path()
}

fn record(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap()
}

fn outcome(record: &Value, check: &str) -> String {
    let checks = record["checks"].as_array().unwrap();
    let found = checks.iter().find(|entry| entry["name"] == check).unwrap();
    found["outcome"].as_str().unwrap().to_owned()
}

fn assert_matches_schema(record: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/run.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(record)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // The validator must be able to say no.
    let mut broken = record.clone();
    broken["verdict"] = Value::from("splendid");
    assert!(!validator.is_valid(&broken));
}

#[test]
fn every_scenario_file_is_valid() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let output = Command::new(program())
            .arg("check")
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            path.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(String::from_utf8_lossy(&output.stdout).contains("descriptors"));
        seen += 1;
    }
    assert!(seen >= 4);
}

#[test]
fn the_stored_schema_is_the_program_s() {
    let printed = Command::new(program())
        .arg("schema")
        .output()
        .unwrap()
        .stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/run.json");
    assert!(
        std::fs::read(&path).unwrap() == printed,
        "write it again: easload schema > schema/run.json"
    );
}

/// The main job. Everything it shows is real, so the checks have to agree with each other.
#[test]
fn a_recycle_restores_sync() {
    let runs = tempfile::tempdir().unwrap();
    let output = play(None, runs.path());
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("Verdict: PASSED"));
    let directory = directory(runs.path());
    let record = record(&directory);
    assert_matches_schema(&record);
    assert_eq!(record["schema_version"], 2);
    for check in [
        "symptom",
        "recycle seen",
        "restored",
        "released",
        "cost",
        "nothing lost",
    ] {
        assert_eq!(outcome(&record, check), "pass", "{check}");
    }
    assert_eq!(record["seed"], 11);

    // `report` prints the same from the directory alone.
    let report = Command::new(program())
        .arg("report")
        .arg(&directory)
        .output()
        .unwrap();
    assert_eq!(report.status.code(), Some(0));
    assert!(text.starts_with(String::from_utf8_lossy(&report.stdout).as_ref()));

    // A run that was killed is reported from its timeline: same figures, no verdict of success.
    let mut killed = record.clone();
    killed["state"] = Value::from("running");
    killed["checks"] = Value::Array(Vec::new());
    std::fs::write(directory.join("run.json"), killed.to_string()).unwrap();
    let timeline = directory.join("timeline.jsonl");
    let mut cut = std::fs::read(&timeline).unwrap();
    cut.truncate(cut.len() - 40);
    std::fs::write(&timeline, cut).unwrap();
    let report = Command::new(program())
        .arg("report")
        .arg(&directory)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&report.stdout);
    assert_eq!(report.status.code(), Some(5), "{text}");
    assert!(
        text.contains("was killed") && text.contains("stranded requests gather"),
        "{text}"
    );
}

#[test]
fn a_healthy_server_passes_and_stays_flat() {
    let runs = tempfile::tempdir().unwrap();
    let output = play(Some("healthy.toml"), runs.path());
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let record = record(&directory(runs.path()));
    assert_matches_schema(&record);
    assert_eq!(outcome(&record, "symptom"), "pass");
    assert_eq!(outcome(&record, "recycle seen"), "pass");
    assert_eq!(outcome(&record, "nothing lost"), "pass");
}

/// The negative control of the whole product.
#[test]
fn without_a_recycle_the_verdict_is_failed() {
    let runs = tempfile::tempdir().unwrap();
    let output = play(Some("stranded-no-recycle.toml"), runs.path());
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let record = record(&directory(runs.path()));
    assert_eq!(outcome(&record, "symptom"), "pass");
    for check in ["recycle seen", "restored", "released"] {
        assert_eq!(outcome(&record, check), "fail", "{check}");
    }
}
