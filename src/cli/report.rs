//! `easload report`.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, print_or_fail};
use crate::report::{RunRecord, summary_text};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run directory.
    directory: PathBuf,
}

/// Ends with the verdict's code, so that a stored run can be judged in a script.
pub(super) fn main(arguments: &Arguments) -> Exit {
    match RunRecord::load(&arguments.directory) {
        Ok(record) => {
            let exit = record.verdict.map_or(Exit::Inconclusive, Exit::from);
            print_or_fail(&summary_text(&record), exit)
        }
        Err(error) => {
            eprintln!("error: {error}");
            Exit::Usage
        }
    }
}
