//! `easload check`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, print_or_fail};
use crate::report::plan_text;
use crate::scenario::{DEFAULT_SCENARIO, Plan, parse};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Scenario file; without one the embedded `recycle-restores-sync`.
    scenario: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    match load(arguments.scenario.as_deref()) {
        Ok(plan) => print_or_fail(&plan_text(&plan), Exit::Passed),
        Err(exit) => exit,
    }
}

/// Reads a scenario; prints its mistakes.
pub(super) fn load(path: Option<&Path>) -> Result<Plan, Exit> {
    let (name, text) = match path {
        None => (DEFAULT_SCENARIO.0.to_owned(), DEFAULT_SCENARIO.1.to_owned()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => (path.display().to_string(), text),
            Err(error) => {
                eprintln!("error: {}: {error}", path.display());
                return Err(Exit::Usage);
            }
        },
    };
    parse(&name, &text).map_err(|error| {
        eprintln!("{error}");
        Exit::Usage
    })
}
