//! Where a run leaves what it measures.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use verdict::timeline::RunFiles;

use super::report;
use crate::run::RunError;

/// Where a run leaves what it measures.
#[derive(Debug, Args)]
pub(super) struct Places {
    /// Where run directories are made.
    #[arg(long, env = "EASLOAD_RUNS", default_value = "runs", value_name = "DIR")]
    pub(super) runs: PathBuf,
    /// Write the run into a file when it has ended: `junit=report.xml`, `markdown=summary.md`; may be
    /// given several times. A file that cannot be written is refused before the load starts.
    #[arg(long, value_name = "FORMAT=FILE", value_parser = report::output)]
    pub(super) write: Vec<report::Output>,
    /// Serve OpenMetrics at `/metrics` of this address during the run.
    #[arg(long, value_name = "ADDRESS", env = "EASLOAD_METRICS")]
    pub(super) metrics: Option<SocketAddr>,
}

impl Places {
    /// Everything here that would make a run refuse to begin; nothing is left behind.
    pub(super) fn obstacles(&self) -> Vec<String> {
        let mut found = self.unwritable();
        let runs = RunFiles::can_be_made(&self.runs).err();
        found.extend(runs.map(|error| RunError::from(error).to_string()));
        let bound = self.metrics.map(|address| {
            let bound = std::net::TcpListener::bind(address);
            bound.map_err(|source| RunError::Metrics { address, source })
        });
        found.extend(bound.and_then(Result::err).map(|error| error.to_string()));
        found
    }

    /// Which of the files for reports cannot be written.
    pub(super) fn unwritable(&self) -> Vec<String> {
        let written = self.write.iter().map(report::can_write);
        let problems = written.filter_map(Result::err);
        problems
            .map(|problem| format!("--write {problem}"))
            .collect()
    }
}
