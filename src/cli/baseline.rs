//! `easload baseline`: runs that later ones are compared with, by name.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use verdict::judge::Verdict;
use verdict::report::{RunRecord, RunState, summary_text};
use verdict::timeline::RunFiles;

use super::{Exit, print_or_fail};
use crate::terminal::say;

/// Where baselines are kept: beside the scenarios, so that they can be checked in.
pub(super) const FOLDER: &str = "baselines";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Where baselines are.
    #[arg(
        long,
        global = true,
        env = "EASLOAD_BASELINES",
        default_value = FOLDER,
        value_name = "DIR"
    )]
    baselines: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keep a run under a name.
    Save {
        /// Name: letters, digits, `-`, `_` and `.`.
        name: String,
        /// Run directory.
        directory: PathBuf,
        /// Take the place of a baseline of that name.
        #[arg(long)]
        replace: bool,
    },
    /// List the baselines.
    List,
    /// Print the report of a baseline.
    Show {
        /// Name.
        name: String,
    },
}

/// A run and its directory: a baseline's if there is one of that name, and the path's else.
pub(super) fn find(name: &str, baselines: &Path) -> Result<(RunRecord, PathBuf), String> {
    let saved = baselines.join(name);
    let directory = if is_name(name) && saved.join(RunRecord::FILE).exists() {
        saved
    } else {
        PathBuf::from(name)
    };
    if !directory.exists() {
        let mut known = names(baselines).unwrap_or_default();
        known.retain(|name| baselines.join(name).join(RunRecord::FILE).exists());
        let known = if known.is_empty() {
            "none is there".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        return Err(format!(
            "{name}: neither a run directory nor a baseline in {}; {known}",
            baselines.display()
        ));
    }
    let record = RunRecord::load(&directory).map_err(|error| error.to_string())?;
    Ok((record, directory))
}

/// The baselines' names, sorted.
fn names(baselines: &Path) -> Result<Vec<String>, String> {
    if !baselines.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(baselines)
        .map_err(|error| format!("{}: {error}", baselines.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_name(name))
        .collect();
    names.sort();
    Ok(names)
}

fn is_name(name: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(allowed)
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    let baselines = &arguments.baselines;
    match &arguments.command {
        Command::Save {
            name,
            directory,
            replace,
        } => match save(baselines, name, directory, *replace) {
            Ok(text) => print_or_fail(&text, Exit::Passed),
            Err(problem) => {
                say(&format!("error: {problem}"));
                Exit::Usage
            }
        },
        Command::List => match list(baselines) {
            Ok(text) => print_or_fail(&text, Exit::Passed),
            Err(problem) => {
                say(&format!("error: {problem}"));
                Exit::Usage
            }
        },
        Command::Show { name } => match find(name, baselines) {
            Ok((mut record, directory)) => {
                let problem = record.timeline_problem(&directory);
                record.problems.extend(problem);
                print_or_fail(summary_text(&record), Exit::Passed)
            }
            Err(error) => {
                say(&format!("error: {error}"));
                Exit::Usage
            }
        },
    }
}

fn save(baselines: &Path, name: &str, directory: &Path, replace: bool) -> Result<String, String> {
    if !is_name(name) {
        return Err(format!(
            "{name:?}: expected a name of letters, digits, `-`, `_` and `.`"
        ));
    }
    let record = RunRecord::load(directory).map_err(|error| error.to_string())?;
    if record.state != RunState::Complete {
        return Err(format!(
            "{}: the run did not come to its end, and is no baseline",
            directory.display()
        ));
    }
    if let Some(problem) = record.timeline_problem(directory) {
        return Err(format!("{}: {problem}", directory.display()));
    }
    let target = baselines.join(name);
    if target.exists() && !replace {
        return Err(format!(
            "{}: there is a baseline of that name; --replace puts this run in its place",
            target.display()
        ));
    }
    // Copied beside it and then renamed, so that a baseline is never half a run.
    let io = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    std::fs::create_dir_all(baselines).map_err(io(baselines))?;
    let temporary = baselines.join(format!(".{name}.tmp"));
    if temporary.exists() {
        std::fs::remove_dir_all(&temporary).map_err(io(&temporary))?;
    }
    std::fs::create_dir(&temporary).map_err(io(&temporary))?;
    for file in [RunRecord::FILE, RunFiles::TIMELINE] {
        let to = temporary.join(file);
        std::fs::copy(directory.join(file), &to).map_err(io(&to))?;
    }
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(io(&target))?;
    }
    std::fs::rename(&temporary, &target).map_err(io(&target))?;
    let verdict = record.verdict.map_or("none", Verdict::as_str);
    Ok(format!(
        "saved {} as {name} (verdict {verdict})\n",
        directory.display()
    ))
}

fn list(baselines: &Path) -> Result<String, String> {
    let lines =
        names(baselines)?
            .into_iter()
            .map(|name| match RunRecord::load(&baselines.join(&name)) {
                Ok(record) => format!(
                    "{name:<24} {:<13} {}, {} devices, {}",
                    record.verdict.map_or("none", Verdict::as_str),
                    record.plan.name,
                    record.plan.devices.count,
                    record.started
                ),
                Err(error) => format!("{name:<24} unreadable: {error}"),
            });
    let mut out = String::new();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    if out.is_empty() {
        let _ = writeln!(out, "no baselines in {}", baselines.display());
    }
    Ok(out)
}
