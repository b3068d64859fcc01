//! What is wrong with the file, whatever its settings mean.

use super::{Finding, Linter, Severity, rule};
use crate::{ConfigError, RefusedKind};

/// Findings of one file that cannot be read; a hostile one has millions.
const MOST: usize = 100;

/// The mistakes of a file that cannot be read, as findings.
#[must_use]
pub fn unreadable(file: &str, error: &ConfigError) -> Vec<Finding> {
    let problems = error.problems().iter().take(MOST);
    problems
        .map(|problem| Finding {
            rule: rule("invalid"),
            severity: Severity::Error,
            message: format!("the file cannot be read: {}", problem.message),
            advice: "correct it; until then nothing else of the file is checked".to_owned(),
            setting: problem.place.clone().into(),
            file: file.to_owned(),
            line: Some(problem.line),
        })
        .collect()
}

impl Linter<'_> {
    /// What IIS refuses.
    pub(super) fn refused(&mut self) {
        let findings = self.pool.refused.iter().map(|refused| {
            let (id, severity, message, advice) = match refused.kind {
                RefusedKind::ConfigSource => (
                    "config-source",
                    Severity::Error,
                    "configSource names another file, which IIS allows for a whole section only: it \
                     refuses the configuration, and what is in the other file was not checked",
                    "write the settings of the pool into this file",
                ),
                RefusedKind::Attribute => (
                    "unknown-setting",
                    Severity::Warning,
                    "IIS does not have this attribute here: it refuses the configuration, and the \
                     attribute was not checked",
                    "remove it, or write the attribute that is meant",
                ),
                RefusedKind::Element => (
                    "unknown-setting",
                    Severity::Warning,
                    "IIS does not have this element here: it refuses the configuration, and what is in \
                     the element was not checked",
                    "remove it, or move it to the element that it belongs to",
                ),
                RefusedKind::Seconds => (
                    "schedule-seconds",
                    Severity::Error,
                    "the time has seconds, and a schedule has times of whole minutes: IIS refuses the \
                     configuration",
                    "write the time with :00 at its end",
                ),
            };
            Finding {
                rule: rule(id),
                severity,
                message: message.to_owned(),
                advice: advice.to_owned(),
                setting: refused.place.clone().into(),
                file: self.file.to_owned(),
                line: Some(refused.line),
            }
        });
        let mut findings: Vec<Finding> = findings.collect();
        self.findings.append(&mut findings);
    }
}
