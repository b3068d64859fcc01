//! `easload policy`, as a user types it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use iis::policy::RULES;
use serde_json::Value;

use crate::fixtures::program;

/// The configuration of a live Exchange 2016 server.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("crates/iis/tests/data/exchange2016-applicationHost.config")
}

fn policy(arguments: &[&str], file: &Path) -> Output {
    Command::new(program())
        .args(["policy"])
        .args(arguments)
        .arg(file)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_real_server_without_the_workaround_is_told_so() {
    let output = policy(&["lint", "--exchange", "2016"], &shipped());
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("error: recycling.periodicRestart.time [no-recycle]"),
        "{said}"
    );
    assert!(
        said.contains("exchange2016-applicationHost.config:222\n"),
        "{said}"
    );
    // The fix makes it a matter of notes.
    let output = policy(&["lint", "--exchange", "2016-cu11"], &shipped());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let output = policy(
        &["lint", "--exchange", "2016", "--fail-on", "never"],
        &shipped(),
    );
    assert_eq!(output.status.code(), Some(0));
    let output = policy(&["lint", "--allow", "no-recycle"], &shipped());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn every_pool_of_a_real_server_can_be_linted() {
    for pool in [
        "MSExchangeOWAAppPool",
        "MSExchangeRpcProxyAppPool",
        "DefaultAppPool",
    ] {
        let output = policy(&["lint", "--format", "json", "--pool", pool], &shipped());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["files"][0]["pool"], pool);
        assert!(!report["findings"].as_array().unwrap().is_empty());
    }
    let output = policy(&["lint", "--pool", "MSExchangeSnycAppPool"], &shipped());
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("MSExchangeSyncAppPool"));
}

#[test]
fn sarif_is_valid() {
    let output = policy(&["lint", "--format", "sarif"], &shipped());
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    for result in run["results"].as_array().unwrap() {
        let index = result["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(
            result["locations"][0]["physicalLocation"]["region"]["startLine"].as_u64() > Some(0)
        );
    }
}

#[test]
fn mistakes_of_the_file_and_of_the_command_line_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong.config");
    std::fs::write(&wrong, "<configuration><system.applicationHost><applicationPools>\n<add name=\"MSExchangeSyncAppPool\"><recycling><periodicRestart time=\"soon\" request=\"1\"/></recycling></add></applicationPools></system.applicationHost></configuration>").unwrap();
    let output = policy(&["lint"], &wrong);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(
        said.contains("wrong.config:2") && said.contains("soon") && said.contains("requests"),
        "{said}"
    );
    let output = policy(&["lint"], &folder.path().join("absent"));
    assert_eq!(output.status.code(), Some(2));
    for (option, value) in [
        ("--office-hours", "late"),
        ("--heartbeat", "3540..470"),
        ("--allow", "everything"),
        ("--exchange", "2010"),
    ] {
        let output = policy(&["lint", option, value], &shipped());
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(text(&output.stderr).contains(option));
    }
}

#[test]
fn show_names_the_origin_and_the_next_recycles() {
    let output = policy(&["show"], &shipped());
    let said = text(&output.stdout);
    let line = said
        .lines()
        .find(|line| line.contains("periodicRestart.time"))
        .unwrap();
    assert!(
        line.contains("00:00:00") && line.contains("line 222"),
        "{line}"
    );
    assert!(said.contains("none by time"), "{said}");
    let started = "2199-03-14T20:00:00+00:00[UTC]";
    let output = policy(
        &[
            "show",
            "--format",
            "json",
            "--pool",
            "MSExchangeOWAAppPool",
            "--started",
            started,
        ],
        &shipped(),
    );
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Fourteen days after the start.
    let first = shown["next_recycles"][0]["at"].as_str().unwrap();
    assert!(first.starts_with("2199-03-28T20:00:00"), "{first}");
}

/// The table of docs/policy.md and the program's rules are the same.
#[test]
fn every_rule_is_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md");
    let page = std::fs::read_to_string(page).unwrap();
    let listed: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let known: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    assert_eq!(listed, known);
}

#[test]
fn one_broken_file_does_not_hide_what_the_others_say() {
    let output = policy(&["lint", "/nonexistent/applicationHost.config"], &shipped());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("[no-recycle]"), "{text}");
    assert!(text.contains("0 errors, 1 warning, 1 note;"), "{text}");
    assert!(text.contains("not read: /nonexistent"), "{text}");
}

/// A mistake is a finding in every format, and the file is named in each, also if it is the only one.
#[test]
fn a_file_that_cannot_be_read_is_named_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let scheduled = |value: &str| {
        let file = folder.path().join("wrong.config");
        let text = format!(
            "<configuration><system.applicationHost><applicationPools>\n\
             <add name=\"MSExchangeSyncAppPool\"><recycling><periodicRestart><schedule>\n\
             <add value=\"{value}\"/></schedule></periodicRestart></recycling></add>\n\
             </applicationPools></system.applicationHost></configuration>"
        );
        std::fs::write(&file, text).unwrap();
        file
    };
    for value in ["24:00:00", "25:30:00", "1.00:00:00", "1.03:00:00"] {
        let wrong = scheduled(value);
        let name = wrong.display().to_string();
        let output = policy(&["lint", "--format", "json"], &wrong);
        assert_eq!(output.status.code(), Some(2), "{value}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["unread"], serde_json::json!([name]));
        assert_eq!(report["files"], serde_json::json!([]));
        let finding = &report["findings"][0];
        assert_eq!(finding["rule"], "invalid");
        assert_eq!(finding["severity"], "error");
        assert_eq!(finding["setting"], "add@value");
        assert_eq!(finding["line"], 3);
        let message = format!(
            "the file cannot be read: expected a time of day from 00:00:00 to 23:59:59, found `{value}`"
        );
        assert_eq!(finding["message"], message);

        let output = policy(&["lint", "--format", "sarif"], &wrong);
        assert_eq!(output.status.code(), Some(2), "{value}");
        let log: Value = serde_json::from_slice(&output.stdout).unwrap();
        let run = &log["runs"][0];
        assert_eq!(run["results"][0]["ruleId"], "invalid");
        let invocation = &run["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let told = &invocation["toolExecutionNotifications"][0];
        assert!(
            told["message"]["text"].as_str().unwrap().contains(value),
            "{told}"
        );
        let uri = &told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert!(uri.as_str().unwrap().ends_with("wrong.config"), "{uri}");

        let output = policy(&["lint"], &wrong);
        assert_eq!(output.status.code(), Some(2), "{value}");
        let said = text(&output.stdout);
        assert!(said.contains(&format!("not read: {name}")), "{said}");
    }
    // A file that is not there has no findings, and is named.
    let absent = folder.path().join("absent.config");
    let output = policy(&["lint", "--format", "json"], &absent);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["unread"],
        serde_json::json!([absent.display().to_string()])
    );
    assert_eq!(report["findings"], serde_json::json!([]));
    let output = policy(&["lint", "--format", "sarif"], &absent);
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
    let told = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert!(
        told["message"]["text"]
            .as_str()
            .unwrap()
            .contains("absent.config"),
        "{told}"
    );
    // Where every file is read, nothing is named.
    let output = policy(&["lint", "--format", "sarif"], &shipped());
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], true);
    assert_eq!(
        invocation["toolExecutionNotifications"],
        serde_json::json!([])
    );
}

/// Changes to the configuration of a real server that IIS refuses, each with its finding.
#[test]
fn what_iis_refuses_in_a_real_configuration_is_found() {
    let shipped = std::fs::read_to_string(shipped()).unwrap();
    let at = shipped.find("<add name=\"MSExchangeSyncAppPool\"").unwrap();
    let (before, pool) = shipped.split_at(at);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.config");
    let rules = |from: &str, to: &str| -> (Option<i32>, Vec<String>) {
        assert!(pool.contains(from), "{from}");
        std::fs::write(&file, format!("{before}{}", pool.replacen(from, to, 1))).unwrap();
        let output = policy(
            &["lint", "--format", "json", "--exchange", "2016-cu11"],
            &file,
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let severe = findings.filter(|finding| finding["severity"] != "note");
        let rules = severe.map(|finding| finding["rule"].as_str().unwrap().to_owned());
        (output.status.code(), rules.collect())
    };
    let periodic = "<periodicRestart time=\"00:00:00\" />";
    let scheduled = |inner: &str| {
        format!("<periodicRestart time=\"00:00:00\"><schedule>{inner}</schedule></periodicRestart>")
    };
    assert_eq!(rules(periodic, periodic), (Some(0), vec![]));
    assert_eq!(
        rules(periodic, &scheduled("<add value=\"03:00:00\" />")),
        (Some(0), vec![])
    );
    for (from, to, expected) in [
        (
            periodic,
            scheduled("<add value=\"03:00:30\" />"),
            "schedule-seconds",
        ),
        (
            periodic,
            scheduled("<add value=\"03:00:00\" enabled=\"true\" />"),
            "unknown-setting",
        ),
        // A misspelt attribute beside the right one.
        (
            periodic,
            scheduled("<add value=\"03:00:00\" valu=\"04:00:00\" />"),
            "unknown-setting",
        ),
        (
            periodic,
            scheduled("<time value=\"03:00:00\" />"),
            "unknown-setting",
        ),
        (
            periodic,
            periodic.replace(" />", " maxAge=\"1\" />"),
            "unknown-setting",
        ),
        (
            periodic,
            format!("{periodic}<schedule><add value=\"03:00:00\" /></schedule>"),
            "unknown-setting",
        ),
        (
            "<recycling>",
            "<recycling enabled=\"true\">".to_owned(),
            "unknown-setting",
        ),
        (
            "<recycling>",
            "<recycling configSource=\"recycling.config\">".to_owned(),
            "config-source",
        ),
        (
            "<processModel",
            "<processModel memoryLimit=\"1\"".to_owned(),
            "unknown-setting",
        ),
        (
            "<processModel",
            "<processModel configSource=\"x.config\"".to_owned(),
            "config-source",
        ),
        (
            "<failure",
            "<failure onFailure=\"restart\"".to_owned(),
            "unknown-setting",
        ),
        (
            "<add name=",
            "<add recycleAt=\"03:00:00\" name=".to_owned(),
            "unknown-setting",
        ),
    ] {
        assert_eq!(
            rules(from, &to),
            (Some(3), vec![expected.to_owned()]),
            "{to}"
        );
    }
    for (from, to) in [
        (periodic, scheduled("<add value=\"24:00:00\" />")),
        (periodic, scheduled("<add value=\"1.03:00:00\" />")),
        (periodic, periodic.replace("00:00:00", "soon")),
        (
            "<failure",
            "<failure rapidFailProtectionMaxCrashes=\"0\"".to_owned(),
        ),
    ] {
        assert_eq!(
            rules(from, &to),
            (Some(2), vec!["invalid".to_owned()]),
            "{to}"
        );
    }
}
