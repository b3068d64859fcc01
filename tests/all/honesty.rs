//! What a run measured is reported, whatever becomes of the files and streams that it is written to.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::fixtures::{program, together, undisturbed, write_executable};
use crate::outputs::played;

/// Six seconds against the mock: one slow second of them disturbs no check.
fn scenario(threshold: &str) -> String {
    format!(
        "name = \"honest\"\n[mock]\nmin_heartbeat = \"1s\"\n[devices]\ncount = 4\nheartbeat = \"2s\"\n\
         ramp = \"100ms\"\n[[phase]]\nkind = \"baseline\"\nduration = \"6s\"\n\
         [checks]\nsymptom = \"any\"\nthresholds = [\"{threshold}\"]\n"
    )
}

const HOLDS: &str = "failing < 100%";
const FAILS: &str = "pings_sent < 1";

struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(threshold: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), scenario(threshold)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs without what an earlier attempt left, and prepares the command before.
    fn output(&self, prepare: impl Fn(&mut Command)) -> Output {
        let play = || {
            let _ = std::fs::remove_dir_all(self.path("runs"));
            let mut command = self.run();
            prepare(&mut command);
            command.output().unwrap()
        };
        undisturbed(play, |_| self.record()["checks"].to_string())
    }

    fn run(&self) -> Command {
        let mut command = Command::new(program());
        command
            .arg("run")
            .arg(self.path("s.toml"))
            .arg("--runs")
            .arg(self.path("runs"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn directory(&self) -> PathBuf {
        let mut runs = std::fs::read_dir(self.path("runs")).unwrap();
        runs.next().unwrap().unwrap().path()
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.directory().join("run.json")).unwrap()).unwrap()
    }
}

/// Plays, and does something to the run directory once it is there.
fn meddled(lab: &Lab, meddle: impl Fn(&Path)) -> (Option<i32>, String, String) {
    let play = || meddled_once(lab, &meddle);
    undisturbed(play, |(_, printed, _)| printed.clone())
}

fn meddled_once(lab: &Lab, meddle: impl Fn(&Path)) -> (Option<i32>, String, String) {
    let _ = std::fs::remove_dir_all(lab.path("runs"));
    let mut child = lab.run().spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("run directory ") {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{said}");
    }
    meddle(&lab.directory());
    lines.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), printed, said)
}

/// A folder where the record is written first: what a full disk does, for whoever may write anything.
fn block_record(directory: &Path) {
    std::fs::create_dir(directory.join(".run.json.tmp")).unwrap();
}

#[test]
fn a_report_is_printed_if_the_record_cannot_be_written() {
    let cases = [
        (HOLDS, "Verdict: PASSED\n", 7),
        (FAILS, "Verdict: FAILED\n", 3),
    ];
    together(cases, |(threshold, verdict, code)| {
        let lab = Lab::new(threshold);
        let (exit, printed, said) = meddled(&lab, block_record);
        assert_eq!(exit, Some(code), "{printed}\n{said}");
        assert!(printed.contains(verdict), "{printed}");
        for text in [&printed, &said] {
            assert!(
                text.contains("the record of the run was not written") && text.contains("run.json"),
                "{text}"
            );
        }
    });
}

#[test]
fn a_report_is_printed_if_the_run_directory_is_removed() {
    let lab = Lab::new(HOLDS);
    let (exit, printed, said) = meddled(&lab, |directory| {
        std::fs::remove_dir_all(directory).unwrap()
    });
    assert_eq!(exit, Some(7), "{printed}\n{said}");
    assert!(printed.contains("Verdict: PASSED\n"), "{printed}");
    // It was judged with all that was measured.
    assert!(!printed.contains("cannot be read back"), "{printed}");
    assert!(printed.contains("no second is missing"), "{printed}");
}

/// The control of all others: nothing is in the way.
#[test]
fn a_run_that_is_written_ends_with_0_and_no_problem() {
    let lab = Lab::new(HOLDS);
    let (exit, printed, said) = meddled(&lab, |_| {});
    assert_eq!(exit, Some(0), "{printed}\n{said}");
    assert!(!printed.contains("Problem"), "{printed}");
    let record = lab.record();
    assert_eq!(record["verdict"], "passed");
    assert_eq!(record["problems"], serde_json::json!([]));
    let size = lab
        .directory()
        .join("timeline.jsonl.gz")
        .metadata()
        .unwrap()
        .len();
    assert_eq!(record["timeline_bytes"], size);
    // The mock ends after the run, and its exporter with it.
    assert!(!said.contains("cannot be read"), "{said}");
    assert!(printed.contains("readings"), "{printed}");
    assert!(!printed.contains("failures"), "{printed}");
}

/// A limit of a file's size stands for a disk that is full in the middle of a run.
#[cfg(target_os = "linux")]
#[test]
fn a_timeline_that_cannot_be_written_ends_the_run_with_its_report() {
    let lab = Lab::new(HOLDS);
    // The first record is smaller than that, the timeline of some seconds larger.
    let long = scenario(HOLDS)
        .replace("duration = \"6s\"", "duration = \"300s\"")
        .replace("count = 4", "count = 300")
        .replace(
            "[[phase]]",
            "[mail]\nrate = 100\ndoor = \"control\"\n[[phase]]",
        );
    std::fs::write(lab.path("s.toml"), long).unwrap();
    let command = format!(
        "trap '' XFSZ; ulimit -f 24; exec {} run --quiet {} --runs {}",
        program().display(),
        lab.path("s.toml").display(),
        lab.path("runs").display()
    );
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5), "{printed}\n{said}");
    assert!(
        said.contains("cannot write the run directory") && said.contains("File too large"),
        "{said}"
    );
    assert!(
        printed.contains("Verdict: INCONCLUSIVE (the run broke off)"),
        "{printed}"
    );
    assert!(printed.contains("; the timeline ends after "), "{printed}");
    assert!(printed.contains("Sync          baseline"), "{printed}");
}

#[cfg(target_os = "linux")]
#[test]
fn streams_that_cannot_be_written_cost_neither_record_nor_verdict() {
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let cases = [
        (HOLDS, true, false, 7),
        (FAILS, true, false, 3),
        (HOLDS, false, true, 0),
        (HOLDS, true, true, 7),
    ];
    together(cases, |(threshold, stdout, stderr, code)| {
        let lab = Lab::new(threshold);
        let output = lab.output(|command| {
            if stdout {
                command.stdout(full());
            }
            if stderr {
                command.stderr(full());
            }
        });
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(lab.record()["state"], "complete");
        if stdout && !stderr {
            assert!(
                said.contains("error: cannot write to standard output: No space left on device"),
                "{said}"
            );
        }
    });
    // Mistakes are told on a stream that is full, too.
    let output = Command::new(program())
        .args(["check", "/nowhere.toml"])
        .stderr(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = Command::new(program())
        .args(["check"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
}

/// A reader that has gone is no error.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_pipe_does_not_change_the_verdict() {
    let lab = Lab::new(HOLDS);
    let play = || {
        let _ = std::fs::remove_dir_all(lab.path("runs"));
        let mut child = lab.run().spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        child.wait().unwrap().code()
    };
    let code = undisturbed(play, |_| lab.record()["checks"].to_string());
    assert_eq!(code, Some(0));
    assert_eq!(lab.record()["verdict"], "passed");
}

#[test]
fn files_for_reports_are_tried_before_the_load() {
    let lab = Lab::new(HOLDS);
    let kept = lab.path("kept.xml");
    std::fs::write(&kept, "before").unwrap();
    let new = lab.path("new.xml");
    let write = |file: &Path| format!("junit={}", file.display());
    for file in [lab.path("missing/report.xml"), lab.folder.path().to_owned()] {
        let arguments = [&kept, &new, &file];
        let mut command = lab.run();
        for file in arguments {
            command.args(["--write", &write(file)]);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let named = format!("error: --write {}: ", file.display());
        assert!(said.contains(&named), "{said}");
        assert!(
            !said.contains(&write(&kept)) && !said.contains("kept.xml"),
            "{said}"
        );
    }
    assert!(!lab.path("runs").exists(), "no run, no directory");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "before");
    assert!(!new.exists());
}

#[test]
fn a_run_directory_that_cannot_be_made_is_a_mistake_of_usage() {
    let lab = Lab::new(HOLDS);
    let file = lab.path("file");
    std::fs::write(&file, "").unwrap();
    let output = Command::new(program())
        .arg("run")
        .arg(lab.path("s.toml"))
        .arg("--runs")
        .arg(file.join("runs"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cannot write the run directory"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_has_a_code_of_its_own() {
    together([(HOLDS, 7), (FAILS, 3)], |(threshold, code)| {
        let lab = Lab::new(threshold);
        let markdown = lab.path("summary.md");
        let output = lab.output(|command| {
            command
                .args(["--write", "junit=/dev/full"])
                .args(["--write", &format!("markdown={}", markdown.display())]);
        });
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("error: /dev/full: No space left"), "{said}");
        // The others are written all the same.
        let text = std::fs::read_to_string(&markdown).unwrap();
        assert!(text.starts_with("### easload: "), "{text}");
    });
    let output = report(&played().directory, "text", &["--output", "/dev/full"]);
    assert_eq!(output.status.code(), Some(3), "the run's own verdict");
}

fn report(directory: &Path, format: &str, more: &[&str]) -> Output {
    Command::new(program())
        .arg("report")
        .arg(directory)
        .args(["--format", format])
        .args(more)
        .output()
        .unwrap()
}

const FORMATS: [&str; 7] = ["text", "json", "junit", "markdown", "csv", "hlog", "github"];

/// A copy of a run whose timeline has lost its end.
fn cut() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = &played().directory;
    std::fs::copy(from.join("run.json"), folder.path().join("run.json")).unwrap();
    let timeline = std::fs::read(from.join("timeline.jsonl.gz")).unwrap();
    let half = &timeline[..timeline.len() / 2];
    std::fs::write(folder.path().join("timeline.jsonl.gz"), half).unwrap();
    folder
}

#[test]
fn every_format_tells_that_the_timeline_is_cut() {
    let cut = cut();
    for format in FORMATS {
        let whole = report(&played().directory, format, &[]);
        let whole = String::from_utf8_lossy(&whole.stdout).into_owned();
        assert!(
            !whole.contains("the timeline is cut off"),
            "{format}: {whole}"
        );
        let output = report(cut.path(), format, &[]);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{format}: the run's own verdict"
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains("the timeline is cut off after "),
            "{format}: {text}"
        );
    }
    // What is not there is not compared, and is no baseline.
    let directory = cut.path().to_str().unwrap();
    for arguments in [
        vec!["compare", directory, directory],
        vec!["baseline", "save", "half", directory],
    ] {
        let output = Command::new(program())
            .args(&arguments)
            .env("EASLOAD_BASELINES", cut.path().join("baselines"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("the timeline is cut off after "), "{said}");
    }
}

#[test]
fn every_format_tells_what_went_wrong_with_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let from = &played().directory;
    let text = std::fs::read_to_string(from.join("run.json")).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["problems"] = serde_json::json!(["the disk, \"sda\",\nis full"]);
    std::fs::write(folder.path().join("run.json"), record.to_string()).unwrap();
    let timeline = "timeline.jsonl.gz";
    std::fs::copy(from.join(timeline), folder.path().join(timeline)).unwrap();
    for format in FORMATS {
        let output = report(folder.path(), format, &[]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("sda"), "{format}: {text}");
    }
    let csv = report(folder.path(), "csv", &[]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_slice());
    let last = reader.records().last().unwrap().unwrap();
    let last: Vec<&str> = last.iter().skip(1).collect();
    assert_eq!(
        last,
        ["", "problem", "the disk, \"sda\", is full", "count", "1"]
    );
    let github = report(folder.path(), "github", &[]).stdout;
    let github = String::from_utf8_lossy(&github).into_owned();
    let expected = "::warning title=easload outputs%3A problem::the disk, \"sda\",%0Ais full\n";
    assert!(github.ends_with(expected), "{github}");
}

#[test]
fn junit_times_are_those_of_the_run() {
    let output = report(&played().directory, "junit", &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("time=\"0.000\""), "{text}");
    let record: Value =
        serde_json::from_slice(&std::fs::read(played().directory.join("run.json")).unwrap())
            .unwrap();
    let phases = record["phases"].as_array().unwrap().iter();
    let seconds: f64 = phases.map(|phase| phase["seconds"].as_f64().unwrap()).sum();
    let time = format!(" time=\"{seconds:.3}\"");
    assert_eq!(text.matches(&time).count(), 2, "suite and suites: {text}");
    // A check lasts for no time of its own.
    assert_eq!(text.matches(" time=").count(), 2, "{text}");
}

/// The mock's exporter is read all the time, and only nothing could gather.
#[test]
fn a_server_that_was_seen_is_not_called_unseen() {
    let lab = Lab::new(HOLDS);
    let recovered = "[[phase]]\nkind = \"recovered\"\nduration = \"2s\"\n[checks]";
    let text = scenario(HOLDS).replace("[checks]", recovered);
    std::fs::write(lab.path("s.toml"), text).unwrap();
    let output = lab.run().output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains(" readings"), "{printed}");
    assert!(!printed.contains("was not seen"), "{printed}");
    let record = lab.record();
    let checks = record["checks"].as_array().unwrap();
    let released = checks.iter().find(|check| check["name"] == "released");
    assert_eq!(
        released.unwrap()["reason"],
        "the scenario has no aging phase in which something could gather"
    );
}

/// A scenario with a recycle that the mock is told to do, and a phase before it.
fn with_recycle(baseline: &str) -> String {
    format!(
        "name = \"t\"\n[mock]\nmin_heartbeat = \"1s\"\n[devices]\ncount = 4\nheartbeat = \"2s\"\n\
         ramp = \"100ms\"\n[[phase]]\nkind = \"baseline\"\nduration = \"{baseline}\"\n\
         [[phase]]\nkind = \"recycle\"\nduration = \"2s\"\ntrigger = \"mock\"\n\
         [checks]\nsymptom = \"any\"\n"
    )
}

/// Reads until a line contains that, and gives all that was read.
fn read_until(lines: &mut impl std::io::BufRead, part: &str) -> String {
    let mut said = String::new();
    while !said.contains(part) {
        assert_ne!(lines.read_line(&mut said).unwrap(), 0, "{part}\n{said}");
    }
    said
}

/// The line of the report about the recycle.
fn recycle_line(report: &str) -> &str {
    let line = report.lines().find(|line| line.contains("  recycle seen"));
    line.unwrap_or_else(|| panic!("{report}"))
}

#[cfg(unix)]
#[test]
fn a_recycle_whose_phase_was_not_reached_is_not_judged() {
    let lab = Lab::new(HOLDS);
    std::fs::write(lab.path("s.toml"), with_recycle("600s")).unwrap();
    let mut child = lab.run().spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut lines, "run directory ");
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(130), "{printed}\n{said}");
    let line = recycle_line(&printed);
    let because =
        "not judged, because the recycle phase was not triggered: the run ended before this phase";
    assert!(
        line.starts_with("  no data") && line.contains(because),
        "{line}"
    );
    // The interrupt is the reason, and not the trigger.
    assert!(!printed.contains("Problem: the run ended"), "{printed}");
    let failed = &lab.record()["failed_triggers"];
    let expected = serde_json::json!([{"phase": 1, "problem": "the run ended before this phase"}]);
    assert_eq!(*failed, expected);
}

/// The mock cannot start a new worker, because the program is gone.
#[cfg(unix)]
#[test]
fn a_mock_that_does_not_recycle_makes_a_run_inconclusive_with_its_error_first() {
    let lab = Lab::new(HOLDS);
    std::fs::write(lab.path("s.toml"), with_recycle("4s")).unwrap();
    let copy = lab.path("easload");
    write_executable(&copy, &std::fs::read(program()).unwrap());
    let mut child = Command::new(&copy)
        .arg("run")
        .arg(lab.path("s.toml"))
        .arg("--runs")
        .arg(lab.path("runs"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut lines, "run directory ");
    std::fs::remove_file(&copy).unwrap();
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(5), "{printed}\n{said}");
    let problem =
        "the mock did not recycle: the mock's control API: recycle: 500: cannot start the worker: ";
    let first = printed.split("Problem: ").nth(1).unwrap_or_default();
    assert!(first.starts_with(problem), "{printed}\n{said}");
    let because = format!("not judged, because the recycle phase was not triggered: {problem}");
    let line = recycle_line(&printed);
    assert!(
        line.starts_with("  no data") && line.contains(&because),
        "{line}"
    );
    assert!(!printed.contains("no recycle was seen"), "{printed}");
}

/// A mock ends with its run, and its exporter is not read any more. A source that really fails is named.
#[test]
fn the_end_of_a_mock_is_no_failure_of_its_exporter() {
    let source = "[[observe.source]]\nurl = \"http://127.0.0.1:9/metrics\"\n";
    together([("", false), (source, true)], |(more, is_told)| {
        let lab = Lab::new(HOLDS);
        std::fs::write(lab.path("s.toml"), scenario(HOLDS) + more).unwrap();
        let output = lab.run().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("stopping the devices"), "{said}");
        for part in ["cannot be read", "onnection refused"] {
            assert_eq!(said.contains(part), is_told, "{part}\n{said}");
        }
    });
}

#[test]
fn a_run_without_a_ramp_phase_has_one_of_0_seconds() {
    let lab = Lab::new(HOLDS);
    let text = scenario(HOLDS).replace("ramp = \"100ms\"", "ramp = \"2s\"");
    std::fs::write(lab.path("s.toml"), text).unwrap();
    let output = Command::new(program())
        .arg("check")
        .arg(lab.path("s.toml"))
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = "the devices take 2 s to start and the ramp phase lasts 0 s";
    assert!(printed.contains(expected), "{printed}");
}

#[test]
fn a_bench_that_cannot_be_is_a_mistake_of_usage() {
    for (arguments, part) in [
        (
            &["hold", "--devices", "1"][..],
            "--devices: expected at least 2",
        ),
        (
            &["hold", "--devices", "5", "--from", "5"],
            "--from: expected 1 to 4",
        ),
        (
            &["hold", "--devices", "5", "--from", "0"],
            "--from: expected 1 to 4",
        ),
        (&["round-trips", "--devices", "0"], "--devices"),
        (&["recycle", "--workers", "0"], "--workers"),
        (&["hold", "--rate", "0"], "--rate"),
        (&["hold", "--rate", "NaN"], "--rate"),
        (&["hold", "--heartbeat", "0"], "--heartbeat"),
        (&["journal", "--seconds", "0"], "--seconds"),
        (&["hold", "--devices", "4000000000"], "--devices"),
    ] {
        let output = Command::new(program())
            .arg("bench")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
}

#[test]
fn a_bench_of_two_devices_measures() {
    let output = Command::new(program())
        .args(["bench", "hold", "--devices", "2", "--no-overshoot"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("RSS slope 1 to 2 devices"), "{printed}");
}
