//! `run.json`: the versioned record of a run.

use std::path::{Path, PathBuf};

use scenario::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::whole;

use crate::judge::{Check, Digest, Digester, PhaseSummary, Verdict, judge, recycles, summarize};
use crate::recycle::{Due, FailedTrigger, Recycle};
use crate::report::SourceReport;
use crate::timeline::{RunFiles, Timeline, TimelineError, Totals, Unwritten};

/// Version of `run.json`. It rises when a field changes its meaning or goes; `schema/run.json`
/// describes it.
pub const SCHEMA_VERSION: u32 = 6;

/// Stands before what a simulated run reports.
pub(super) const SIMULATED: &str = "simulated: ";

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It is under way, or was killed.
    Running,
    /// It ended by itself.
    Complete,
    /// The user ended it.
    Interrupted,
    /// Something ended it: see `problems`.
    Broken,
}

impl RunState {
    /// What follows a verdict, if the run did not end by itself.
    #[must_use]
    pub const fn note(self) -> &'static str {
        match self {
            Self::Complete => "",
            Self::Running => " (the run did not end)",
            Self::Interrupted => " (the run was interrupted)",
            Self::Broken => " (the run broke off)",
        }
    }
}

/// The record of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Version of easload.
    pub easload: String,
    /// How the run stands.
    pub state: RunState,
    /// When it started, RFC 3339 in UTC.
    pub started: String,
    /// Seed of all chances; `--seed` repeats them.
    pub seed: u64,
    /// Whether it was played in a simulated world.
    #[serde(default)]
    pub simulated: bool,
    /// Number of the run in mail subjects, in hexadecimal.
    pub run_id: String,
    /// URLs of the target, one for each server.
    pub targets: Vec<String>,
    /// The plan.
    pub plan: Plan,
    /// What happened in each phase.
    pub phases: Vec<PhaseSummary>,
    /// Recycles that the policy asks for.
    pub due: Vec<Due>,
    /// Triggers without success: the phases from the first of them on are not judged.
    #[serde(default)]
    pub failed_triggers: Vec<FailedTrigger>,
    /// Recycles that were seen, with their stages.
    pub recycles: Vec<Recycle>,
    /// What is known only for the whole run.
    pub totals: Totals,
    /// The checks.
    pub checks: Vec<Check>,
    /// All checks together; absent while the run is under way.
    pub verdict: Option<Verdict>,
    /// Where the server's figures came from, and how well.
    pub sources: Vec<SourceReport>,
    /// What the estimate of stranded requests rests on; absent in the first seconds of a run.
    pub stranded_basis: Option<String>,
    /// What went wrong with the run itself.
    pub problems: Vec<String>,
    /// Size of the whole timeline's file; absent while the run is under way. A smaller file has lost its end.
    #[serde(default)]
    pub timeline_bytes: Option<u64>,
}

/// Why a run directory cannot be reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The timeline cannot be read.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// `run.json` cannot be read.
    #[error("{path}: {problem}; expected a run directory, as `easload run` prints at its end")]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl RunRecord {
    /// The record's name in a run directory.
    pub const FILE: &str = "run.json";

    /// The record of a run that begins at that time.
    #[must_use]
    pub fn begun(
        plan: Plan,
        started: jiff::Timestamp,
        seed: u64,
        run_id: u32,
        targets: Vec<String>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            easload: env!("CARGO_PKG_VERSION").to_owned(),
            state: RunState::Running,
            started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            seed,
            simulated: false,
            run_id: format!("{run_id:08x}"),
            targets,
            plan,
            phases: Vec::new(),
            due: Vec::new(),
            failed_triggers: Vec::new(),
            recycles: Vec::new(),
            totals: Totals::default(),
            checks: Vec::new(),
            verdict: None,
            sources: Vec::new(),
            stranded_basis: None,
            problems: Vec::new(),
            timeline_bytes: None,
        }
    }

    /// Fills in what follows from the timeline.
    pub fn conclude(&mut self, mut digest: Digest) {
        digest.due.clone_from(&self.due);
        digest.failed_triggers.clone_from(&self.failed_triggers);
        let digest = &digest;
        self.phases = summarize(digest);
        self.recycles = recycles(&self.plan, digest);
        self.checks = judge(&self.plan, digest);
        let verdict = Verdict::of(&self.checks);
        // A run that was cut short, or whose recycle was not triggered, proves failures, but no success.
        self.verdict = Some(match (self.state, verdict) {
            (_, verdict @ Verdict::Failed) => verdict,
            (RunState::Complete, verdict) if self.failed_triggers.is_empty() => verdict,
            _ => Verdict::Inconclusive,
        });
    }

    /// Reads a run directory; one whose run was killed or left is concluded from its timeline.
    ///
    /// # Errors
    /// When it is not a run directory of a known version.
    pub fn load(directory: &Path) -> Result<Self, RecordError> {
        let path = directory.join(Self::FILE);
        let fail = |problem: String| RecordError::Record {
            path: path.clone(),
            problem,
        };
        if directory.is_file() {
            let parent = directory
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            return Err(RecordError::Record {
                path: directory.to_owned(),
                problem: format!(
                    "expected the directory of a run, found a file; its directory is {}",
                    parent.display()
                ),
            });
        }
        let text = std::fs::read_to_string(&path).map_err(|error| fail(error.to_string()))?;
        let version: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        let version = version["schema_version"].as_u64();
        if version != Some(SCHEMA_VERSION.into()) {
            return Err(fail(format!(
                "schema version {} instead of {SCHEMA_VERSION}",
                version.map_or("none".to_owned(), |version| version.to_string())
            )));
        }
        let mut record: Self =
            serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        if record.state == RunState::Running || record.verdict.is_none() {
            let what = match record.state {
                RunState::Running => {
                    "the run was killed, or is still under way; what no interval holds (errors, statuses, \
                     sources) may be older than its end"
                }
                _ => "the run was left before it was concluded, or is still stopping",
            };
            let digest = digest(directory)?;
            let end = digest.intervals.last().map_or(0.0, |interval| interval.t);
            record.problems.push(format!(
                "{what}; the timeline ends after {end:.0} s of {:.0} s",
                record.plan.duration().as_secs_f64()
            ));
            record.conclude(digest);
        }
        Ok(record)
    }

    /// What is missing from the timeline of a run that ended, in words. The record itself was made from
    /// the whole timeline; the formats and comparisons that read it again show less.
    #[must_use]
    pub fn timeline_problem(&self, directory: &Path) -> Option<String> {
        let expected = self.timeline_bytes?;
        match Timeline::size(directory) {
            Err(error) => Some(format!("the timeline cannot be read: {error}")),
            Ok(size) if size >= expected => None,
            Ok(_) => {
                let intervals = Timeline::open(directory).into_iter().flatten();
                let last = intervals.map_while(Result::ok).last();
                let end = self.phases.iter().map(|phase| phase.seconds).sum();
                Some(format!(
                    "the timeline is cut off after {} s of {} s",
                    whole(last.map_or(0.0, |interval| interval.t)),
                    whole(end)
                ))
            }
        }
    }

    /// Writes it into its run directory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, files: &RunFiles) -> Result<(), TimelineError> {
        files.write_json(Self::FILE, self)
    }

    /// What [`Self::save`] writes, for a thread that may wait for the disk.
    ///
    /// # Errors
    /// When it is nothing for JSON.
    pub fn unwritten(&self, files: &RunFiles) -> Result<Unwritten, TimelineError> {
        files.json(Self::FILE, self)
    }
}

/// The timeline of a run directory as the checks see it, in bounded memory.
///
/// # Errors
/// When the timeline cannot be read.
pub fn digest(directory: &Path) -> Result<Digest, TimelineError> {
    let mut digester = Digester::default();
    for interval in Timeline::open(directory)? {
        digester.push(interval?);
    }
    Ok(digester.done())
}
