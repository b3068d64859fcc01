//! Runs kept by name, and a run that is judged again with a log.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::fixtures::program;
use crate::outputs::played;

fn easload(arguments: &[&str], baselines: &Path) -> Output {
    Command::new(program())
        .args(arguments)
        .env("EASLOAD_BASELINES", baselines)
        .output()
        .unwrap()
}

#[test]
fn baselines_are_kept_listed_shown_and_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let run = played().directory.to_str().unwrap();
    let code = |arguments: &[&str]| easload(arguments, folder.path()).status.code();
    let said = |arguments: &[&str]| {
        let output = easload(arguments, folder.path());
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(said(&["baseline", "list"]).contains("no baselines"));
    assert_eq!(code(&["baseline", "save", "v1", run]), Some(0));
    assert_eq!(code(&["baseline", "save", "v1", run]), Some(2));
    assert!(said(&["baseline", "save", "v1", run]).contains("--replace"));
    assert_eq!(code(&["baseline", "save", "v1", run, "--replace"]), Some(0));
    assert_eq!(code(&["baseline", "save", "../v1", run]), Some(2));
    assert!(said(&["baseline", "list"]).contains("v1"));
    assert!(said(&["baseline", "show", "v1"]).contains("Verdict: FAILED"));
    let same = said(&["compare", "v1", run, "--fail-on", "worse"]);
    assert!(same.contains("Change: same"), "{same}");
    assert_eq!(code(&["compare", "v1", run, "--fail-on", "worse"]), Some(0));
    let json = easload(&["compare", "v1", run, "--format", "json"], folder.path());
    let changes: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(changes["change"], "same");
    assert!(
        said(&["compare", "v1", run, "--format", "markdown", "--all"])
            .contains("| baseline | `sync.p50` |")
    );
    assert_eq!(code(&["compare", "v2", run]), Some(2));
    assert!(said(&["compare", "v2", run]).contains("there are v1"));
    let file = format!("{run}/run.json");
    assert!(said(&["report", &file]).contains(&format!("its directory is {run}")));
    // A run that did not end is no baseline.
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    let record = std::fs::read_to_string(played().directory.join("run.json")).unwrap();
    let record = record.replace("\"state\": \"complete\"", "\"state\": \"interrupted\"");
    std::fs::write(broken.join("run.json"), record).unwrap();
    let refused = said(&["baseline", "save", "half", broken.to_str().unwrap()]);
    assert!(refused.contains("did not come to its end"), "{refused}");
}

/// A perfmon log of the time of the run, laid beside it afterwards.
#[test]
fn a_perfmon_log_is_laid_beside_a_run_that_is_over() {
    let run = &played().directory;
    let record: Value =
        serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    let started: jiff::Timestamp = record["started"].as_str().unwrap().parse().unwrap();
    let mut log = "\"(PDH-CSV 4.0) (W. Europe Standard Time)(-60)\",\"\\\\EX01\\Processor(_Total)\\% Processor Time\"\r\n".to_owned();
    for second in 0..20 {
        let local = started + jiff::SignedDuration::from_secs(3600 + second);
        let time = local.strftime("%m/%d/%Y %H:%M:%S.000");
        log += &format!("\"{time}\",\"{}\"\r\n", 50 + second);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ex01.csv");
    std::fs::write(&file, &log).unwrap();
    let report = |file: &Path, more: &[&str]| {
        let mut command = Command::new(program());
        command
            .arg("report")
            .arg(run)
            .args(["--format", "json", "--perfmon"]);
        command.arg(file).args(more).output().unwrap()
    };
    let judged: Value = serde_json::from_slice(&report(&file, &[]).stdout).unwrap();
    let phases = judged["phases"].as_array().unwrap();
    let baseline = phases
        .iter()
        .find(|phase| phase["phase"] == "baseline")
        .unwrap();
    let cpu = baseline["levels"]["server.cpu"]["median"].as_f64().unwrap();
    // Seconds 3 to 7 of the run.
    assert!((0.52..=0.57).contains(&cpu), "{cpu}");
    // A day off is told, and typeperf's heading needs the bias.
    let wrong = log.replace("(-60)", "(1380)");
    std::fs::write(&file, wrong).unwrap();
    let refused = String::from_utf8_lossy(&report(&file, &[]).stderr).into_owned();
    assert!(
        refused.contains("nothing of the time of the run"),
        "{refused}"
    );
    // The bias that is given counts, and not the heading's.
    assert_eq!(report(&file, &["--bias", "-60"]).status.code(), Some(3));
    assert_eq!(report(&file, &["--bias", "0"]).status.code(), Some(2));
    std::fs::write(&file, log.replace(" (W. Europe Standard Time)(-60)", "")).unwrap();
    assert_eq!(report(&file, &[]).status.code(), Some(2));
    assert_eq!(report(&file, &["--bias", "-60"]).status.code(), Some(3));
}
