//! JUnit XML: a test case for each check, as CI systems show it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::RunRecord;
use crate::judge::{Check, Outcome};

/// The run as a suite. A check that fails is a failure; one that cannot be said is an error, because
/// it is no pass.
///
/// # Errors
/// When the XML cannot be written.
pub fn junit(record: &RunRecord) -> Result<String, String> {
    let mut suite = TestSuite::new(record.plan.name.clone());
    let seconds: f64 = record.phases.iter().map(|phase| phase.seconds).sum();
    let time = Duration::try_from_secs_f64(seconds).ok();
    // Nothing was measured; 0.000 would be a claim.
    let time = time.filter(|time| !time.is_zero());
    if let Some(time) = time {
        suite.set_time(time);
    }
    let started = record.started.parse::<jiff::Timestamp>().ok();
    let started = started.and_then(|at| DateTime::<Utc>::from_timestamp(at.as_second(), 0));
    if let Some(started) = started {
        suite.set_timestamp(started);
    }
    suite.add_property(("seed", record.seed.to_string().as_str()));
    if record.simulated {
        suite.add_property(("simulated", "true"));
    }
    suite.add_property(("devices", record.plan.devices.count.to_string().as_str()));
    suite.add_property(("targets", record.targets.join(" ").as_str()));
    for check in &record.checks {
        suite.add_test_case(case(record, check));
    }
    if !record.problems.is_empty() {
        suite.set_system_err(record.problems.join("\n"));
    }
    let mut report = Report::new("easload");
    if let Some(time) = time {
        report.set_time(time);
    }
    report.add_test_suite(suite);
    let text = report.to_string().map_err(|error| error.to_string())?;
    Ok(without_skipped(&text))
}

/// The schema that CI systems check against (Jenkins' junit-10.xsd) has no `skipped` at
/// `<testsuites>`, which the library writes there.
fn without_skipped(text: &str) -> String {
    let Some((start, tag)) = text.split_once("<testsuites ") else {
        return text.to_owned();
    };
    let Some((tag, rest)) = tag.split_once('>') else {
        return text.to_owned();
    };
    let kept: Vec<&str> = tag
        .split(' ')
        .filter(|attribute| !attribute.starts_with("skipped="))
        .collect();
    format!("{start}<testsuites {}>{rest}", kept.join(" "))
}

fn case(record: &RunRecord, check: &Check) -> TestCase {
    let text = check.figures.join("\n");
    let reason = check.reason_with_evidence();
    let unwell = |kind, name: &str| {
        let mut status = TestCaseStatus::non_success(kind);
        status.set_message(reason.clone());
        status.set_type(name);
        status.set_description(text.clone());
        status
    };
    let status = match check.outcome {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail => unwell(NonSuccessKind::Failure, "failed"),
        Outcome::NoData => unwell(NonSuccessKind::Error, "inconclusive"),
        Outcome::Skipped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(check.reason.clone());
            status
        }
    };
    let mut case = TestCase::new(check.name.clone(), status);
    // No time: a check looks at the whole run, whose time is the suite's.
    case.set_classname(format!("easload.{}", record.plan.name));
    if check.outcome == Outcome::Pass && !text.is_empty() {
        case.set_system_out(format!("{reason}\n{text}"));
    }
    case
}
