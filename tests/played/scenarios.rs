//! Two scenarios with real processes and sockets, played by the built program in real time: each must agree with
//! its simulation. `tests/simulated` plays every scenario file.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::agreement;
use crate::record::levels::look;
use crate::record::outcome;

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_easload")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// The most runs at the same time: they wait more than they work, but more loads on two cores measure each other.
const MOST: u32 = 2;
static PLAYING: Semaphore = Semaphore::const_new(MOST as usize);

/// Waits for places among those that play.
fn turn(places: u32) -> SemaphorePermit<'static> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let turn = PLAYING.acquire_many(places);
    runtime.unwrap().block_on(turn).unwrap()
}

/// Plays a scenario; gives what it printed, and its runs' directory.
///
/// If other work on the machine disturbs the measurement, the verdict is inconclusive. The run is then played
/// once more, and what that gives counts.
fn play(scenario: Option<&str>) -> (Output, TempDir) {
    /// The verdict is "inconclusive".
    const INCONCLUSIVE: i32 = 5;
    let _turn = turn(1);
    let (output, runs) = play_once("run", scenario);
    if output.status.code() == Some(INCONCLUSIVE) {
        eprintln!("inconclusive, and played again: {scenario:?}");
        return play_once("run", scenario);
    }
    (output, runs)
}

/// The record of the simulation with the same seed. No run in real time is beside it: a simulation takes a whole
/// core, and would be measured.
fn simulated(scenario: Option<&str>) -> Value {
    let _turn = turn(MOST);
    let (_, runs) = play_once("simulate", scenario);
    record(&directory(runs.path()))
}

fn play_once(verb: &str, scenario: Option<&str>) -> (Output, TempDir) {
    let runs = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command
        .args([verb, "--seed", "11", "--runs"])
        .arg(runs.path());
    if verb == "run" {
        command.arg("--quiet");
    }
    if let Some(name) = scenario {
        command.arg(folder().join(name));
    }
    let output = command.output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    (output, runs)
}

fn directory(runs: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(runs).unwrap();
    entries.next().expect("a run directory").unwrap().path()
}

fn record(directory: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(directory.join("run.json")).unwrap()).unwrap()
}

fn assert_ends_with(output: &Output, code: i32) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
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
    assert!(seen >= 12);
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

/// The default scenario.
#[test]
fn a8_a_recycle_restores_sync_as_its_simulation_says() {
    let (output, runs) = play(None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_ends_with(&output, 0);
    assert!(text.contains("Verdict: PASSED"));
    let directory = directory(runs.path());
    let record = record(&directory);
    assert_matches_schema(&record);
    assert_eq!(record["schema_version"], 6);
    assert_all_pass(&record);
    assert_eq!(record["seed"], 11);
    report_is_printed_again(&directory, &text);
    report_of_a_killed_run_has_no_verdict(&directory, &record);

    let simulated = simulated(None);
    assert_eq!(simulated["simulated"], true);
    assert_matches_schema(&simulated);
    let mut found = agreement::of_verdicts(&record, &simulated);
    found.extend(agreement::of_figures(&record, &simulated));
    assert_eq!(found, [""; 0]);
}

/// `report` prints the same from the directory alone.
fn report_is_printed_again(directory: &Path, text: &str) {
    let report = report(directory);
    assert_eq!(report.status.code(), Some(0));
    assert!(text.starts_with(String::from_utf8_lossy(&report.stdout).as_ref()));
}

/// A run that was killed is reported from its timeline: same figures, no verdict of success.
fn report_of_a_killed_run_has_no_verdict(directory: &Path, record: &Value) {
    let mut killed = record.clone();
    killed["state"] = Value::from("running");
    killed["checks"] = Value::Array(Vec::new());
    std::fs::write(directory.join("run.json"), killed.to_string()).unwrap();
    let timeline = directory.join("timeline.jsonl.gz");
    let mut cut = std::fs::read(&timeline).unwrap();
    cut.truncate(cut.len() - 40);
    std::fs::write(&timeline, cut).unwrap();
    let report = report(directory);
    let text = String::from_utf8_lossy(&report.stdout);
    assert_eq!(report.status.code(), Some(5), "{text}");
    assert!(
        text.contains("was killed") && text.contains("stranded requests gather"),
        "{text}"
    );
}

fn report(directory: &Path) -> Output {
    let mut command = Command::new(program());
    command.arg("report").arg(directory).output().unwrap()
}

/// Weeks in a minute: the five curves rise together until nobody can connect, and fall at the recycle
/// that the pool's own policy makes.
#[test]
fn kb_4337638_shows_five_curves_that_rise_and_fall_as_its_simulation_does() {
    const SCENARIO: &str = "kb-4337638.toml";
    let (output, runs) = play(Some(SCENARIO));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_ends_with(&output, 0);
    assert!(text.contains("1 s stands for 7h30m of pool life"), "{text}");
    let record = record(&directory(runs.path()));
    let look = look(SCENARIO).expect("there are assertions");
    look(SCENARIO, &record);
    assert_all_pass(&record);
    assert_eq!(
        agreement::of_verdicts(&record, &simulated(Some(SCENARIO))),
        [""; 0]
    );
}

/// The symptom, the recycle and all its effects.
fn assert_all_pass(record: &Value) {
    for check in [
        "symptom",
        "recycle seen",
        "restored",
        "released",
        "cost",
        "nothing lost",
    ] {
        assert_eq!(outcome(record, check), "pass", "{check}");
    }
}
