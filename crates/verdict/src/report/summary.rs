//! A run for a pull request: Markdown, and annotations where CI asks for them.

use std::fmt::Write as _;

use scenario::names::Metric;

use super::record::{RunRecord, SIMULATED};
use crate::judge::{Outcome, Verdict};

/// Verdict, checks and the latencies of the phases that are judged.
#[must_use]
pub fn summary_markdown(record: &RunRecord) -> String {
    let verdict = record.verdict.map_or("no verdict", Verdict::as_str);
    let mut out = format!(
        "### easload: {verdict}{}\n\n{}`{}`, {} devices, seed {}, {}\n\n\
         | check | outcome | why |\n| --- | --- | --- |\n",
        record.state.note(),
        if record.simulated { SIMULATED } else { "" },
        record.plan.name,
        record.plan.devices.count,
        record.seed,
        record.started
    );
    for check in &record.checks {
        let outcome = match check.outcome {
            Outcome::Fail => "**fail**",
            other => other.as_str(),
        };
        let _ = writeln!(
            out,
            "| {} | {outcome} | {} |",
            cell(&check.name),
            cell(&check.reason_with_evidence())
        );
    }
    out.push_str("\n| latency | phase | samples | p50 | p95 | p99 |\n| --- | --- | ---: | ---: | ---: | ---: |\n");
    for metric in [
        Metric::Sync,
        Metric::Notification,
        Metric::Delivery,
        Metric::Gap,
    ] {
        for phase in &record.phases {
            let Some(latency) = phase.latencies.get(metric.as_str()) else {
                continue;
            };
            let ms = |micros: u64| format!("{:.1} ms", micros as f64 / 1e3);
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} |",
                metric.as_str(),
                phase.phase,
                latency.count,
                ms(latency.p50),
                ms(latency.p95),
                ms(latency.p99)
            );
        }
    }
    let problems = &record.problems;
    if !problems.is_empty() {
        out.push('\n');
        for problem in problems {
            let _ = writeln!(out, "- {}", cell(problem));
        }
    }
    let failed = record
        .checks
        .iter()
        .filter(|check| matches!(check.outcome, Outcome::Fail | Outcome::NoData));
    for check in failed {
        let _ = write!(
            out,
            "\n<details><summary>{}: {}</summary>\n\n",
            cell(&check.name),
            cell(&check.reason)
        );
        for figure in &check.figures {
            let _ = writeln!(out, "- {}", cell(figure));
        }
        out.push_str("\n</details>\n");
    }
    out
}

/// A text that stays in its cell: reasons hold what servers say.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "\\|")
        .replace(['\n', '\r'], " ")
}

/// Workflow commands of GitHub Actions: an error for what failed, a warning for what cannot be said and for
/// problems of the run itself.
#[must_use]
pub fn annotations(record: &RunRecord) -> String {
    let mut out = String::new();
    for check in &record.checks {
        let level = match check.outcome {
            Outcome::Fail => "error",
            Outcome::NoData => "warning",
            Outcome::Pass | Outcome::Skipped => continue,
        };
        let title = format!("easload {}: {}", record.plan.name, check.name);
        let mut text = check.reason_with_evidence();
        for figure in &check.figures {
            let _ = write!(text, "\n{figure}");
        }
        let _ = writeln!(
            out,
            "::{level} title={}::{}",
            property(&title),
            message(&text)
        );
    }
    let title = format!("easload {}: problem", record.plan.name);
    for problem in &record.problems {
        let _ = writeln!(
            out,
            "::warning title={}::{}",
            property(&title),
            message(problem)
        );
    }
    out
}

/// What would end a message, or begin another command, is escaped.
fn message(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_cell_or_command() {
        assert_eq!(cell("a|b\n<c>&"), "a\\|b &lt;c>&amp;");
        assert_eq!(message("5 %\n::error::x"), "5 %25%0A::error::x");
        assert_eq!(property("a: b, c"), "a%3A b%2C c");
    }
}
