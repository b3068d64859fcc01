//! Measurements by phase → checks → verdict. Knows nothing of where numbers came from.

mod checks;
mod compare;
mod digest;
mod evidence;
mod gauge;
mod planned;
mod series;
mod sources;
mod statistics;

use scenario::{PhaseKind, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::recycle::Recycle;

pub use compare::{Change, Changes, Ratio, Row, Side, compare, differences};
pub use digest::{Digest, Digester, Extreme};
pub use evidence::Grade;
pub use planned::{Planned, planned};
pub use series::{Level, Percentiles, PhaseSummary, merged, summarize};
pub use sources::{Doubt, DoubtKind, doubts};
pub use statistics::{
    ALARM, Comparison, Course, Estimate, Figure, PlannedSide, Quantile, Recorded, SHOWN, Share,
    Wait, Waited, compare_medians, compare_quantiles, compare_waits, detectable, measurable,
    median, noise, provable, proven, recorded, samples_needed, upper_decile,
};

/// What came out of a check.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should be.
    Pass,
    /// Proven otherwise.
    Fail,
    /// Cannot be said; never a pass.
    NoData,
    /// Not asked.
    Skipped,
}

impl Outcome {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::NoData => "no data",
            Self::Skipped => "skipped",
        }
    }
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its name, as in the documentation.
    pub name: String,
    /// The answer.
    pub outcome: Outcome,
    /// Why, in one sentence.
    pub reason: String,
    /// What an answer about stranded requests rests on; absent in other checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Grade>,
    /// The figures it rests on, each in a short line.
    pub figures: Vec<String>,
}

impl Check {
    /// The reason, with the evidence in brackets if the check names it.
    #[must_use]
    pub fn reason_with_evidence(&self) -> String {
        let reason = &self.reason;
        match self.evidence {
            Some(grade) => format!("{reason} [{}]", grade.as_str()),
            None => reason.clone(),
        }
    }
}

/// Name of the check of the measurement itself, which says nothing of the server.
const MEASUREMENT: &str = "measurement";

/// All checks together.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check that was asked passed.
    Passed,
    /// At least one check failed.
    Failed,
    /// Nothing failed, but something could not be said.
    Inconclusive,
}

impl Verdict {
    /// A proven failure wins over inconclusive, which wins over passed. A run in which nothing was
    /// asked says nothing, however well it was measured.
    #[must_use]
    pub fn of(checks: &[Check]) -> Self {
        let any = |outcome| checks.iter().any(|check| check.outcome == outcome);
        let something_passed = checks
            .iter()
            .any(|check| check.outcome == Outcome::Pass && check.name != MEASUREMENT);
        if any(Outcome::Fail) {
            Self::Failed
        } else if any(Outcome::NoData) || !something_passed {
            Self::Inconclusive
        } else {
            Self::Passed
        }
    }

    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// Recycles of a run, as the checks see them.
#[must_use]
pub fn recycles(plan: &Plan, digest: &Digest) -> Vec<Recycle> {
    checks::recycles(plan, digest)
}

/// Judges a run. Nothing is drawn at random: the same run gets the same verdict.
#[must_use]
pub fn judge(plan: &Plan, digest: &Digest) -> Vec<Check> {
    let bench = checks::RunData::new(plan, digest);
    let before = [PhaseKind::Baseline, PhaseKind::Aging, PhaseKind::Hold];
    let after = [PhaseKind::Recycle, PhaseKind::Recovered];
    // Mails of all phases count.
    let all = PhaseKind::ALL.map(|(_, kind)| kind);
    let mut checks = vec![
        bench.measurement(),
        bench.unless_untriggered(&before, bench.symptom()),
        bench.unless_untriggered(&after, bench.recycle_seen()),
        bench.unless_untriggered(&after, bench.unless_unsettled(bench.restored())),
        bench.unless_untriggered(&after, bench.released()),
        bench.unless_untriggered(&after, bench.cost()),
        bench.unless_untriggered(&all, bench.nothing_lost()),
    ];
    checks.extend(bench.thresholds());
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(outcomes: &[Outcome]) -> Vec<Check> {
        let check = |outcome: &Outcome| Check {
            name: String::new(),
            outcome: *outcome,
            reason: String::new(),
            evidence: None,
            figures: Vec::new(),
        };
        outcomes.iter().map(check).collect()
    }

    #[test]
    fn a_failure_wins_and_no_data_is_no_pass() {
        use Outcome::{Fail, NoData, Pass, Skipped};
        assert_eq!(Verdict::of(&checks(&[Pass, Skipped])), Verdict::Passed);
        assert_eq!(Verdict::of(&checks(&[Pass, NoData])), Verdict::Inconclusive);
        assert_eq!(Verdict::of(&checks(&[NoData, Fail, Pass])), Verdict::Failed);
        assert_eq!(Verdict::of(&checks(&[Skipped])), Verdict::Inconclusive);
        assert_eq!(Verdict::of(&[]), Verdict::Inconclusive);
        let mut measured = checks(&[Pass, Skipped]);
        measured[0].name = MEASUREMENT.to_owned();
        assert_eq!(Verdict::of(&measured), Verdict::Inconclusive);
    }
}
