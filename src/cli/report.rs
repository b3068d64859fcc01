//! `easload report`, and the formats in which a run can be written.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use verdict::report::{
    RunRecord, annotations, junit, summary_markdown, summary_text, timeline_csv, timeline_hlog,
};

use super::{Exit, print_or_fail};
use crate::history::judge_with_history;
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run directory.
    directory: PathBuf,
    /// How the run is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Write it to a file instead.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// PDH-CSV file of perfmon, typeperf or relog of the time of the run: its figures are laid
    /// beside the devices', and the run is judged again.
    #[arg(long, value_name = "FILE")]
    perfmon: Option<PathBuf>,
    /// Minutes to add to the file's times to get UTC (-60 for UTC+1), where its heading does not say
    /// them or says others.
    #[arg(
        long,
        value_name = "MINUTES",
        allow_hyphen_values = true,
        requires = "perfmon"
    )]
    bias: Option<i32>,
}

/// A format of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For the terminal.
    Text,
    /// run.json.
    Json,
    /// JUnit XML.
    Junit,
    /// For a pull request.
    Markdown,
    /// The timeline in long format.
    Csv,
    /// HdrHistogram's interval log.
    Hlog,
    /// Workflow commands of GitHub Actions.
    Github,
}

impl Format {
    /// The run in this format.
    pub(super) fn render(self, record: &RunRecord, directory: &Path) -> Result<Vec<u8>, String> {
        Ok(match self {
            Self::Text => summary_text(record).into_bytes(),
            Self::Json => {
                let text = serde_json::to_string_pretty(record);
                (text.map_err(|error| error.to_string())? + "\n").into_bytes()
            }
            Self::Junit => junit(record)?.into_bytes(),
            Self::Markdown => summary_markdown(record).into_bytes(),
            Self::Csv => timeline_csv(record, directory)?.into_bytes(),
            Self::Hlog => timeline_hlog(record, directory)?,
            Self::Github => annotations(record).into_bytes(),
        })
    }
}

/// `FORMAT=FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) format: Format,
    pub(super) file: PathBuf,
}

/// Reads `junit=report.xml`.
pub(super) fn output(text: &str) -> Result<Output, String> {
    let names: Vec<String> = Format::value_variants()
        .iter()
        .filter_map(|format| Some(format.to_possible_value()?.get_name().to_owned()))
        .collect();
    let expected = || format!("expected FORMAT=FILE with one of {}", names.join(", "));
    let (format, file) = text.split_once('=').ok_or_else(expected)?;
    let format = Format::from_str(format, true).map_err(|_| expected())?;
    if file.is_empty() {
        return Err(expected());
    }
    Ok(Output {
        format,
        file: file.into(),
    })
}

/// Finds out whether that file can be written, and leaves it as it is.
pub(super) fn can_write(output: &Output) -> Result<(), String> {
    let file = &output.file;
    let is_there = file.exists();
    if is_pipe(file) {
        // To open it would wait for its reader.
        return Ok(());
    }
    let opened = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(file);
    opened.map_err(|error| format!("{}: {error}", file.display()))?;
    if !is_there {
        // An empty report would be taken for one of a run that measured nothing. What was made may be
        // behind a symlink, which stays.
        if let Ok(made) = file.canonicalize() {
            let _ = std::fs::remove_file(made);
        }
    }
    Ok(())
}

#[cfg(unix)]
fn is_pipe(file: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let about = file.metadata();
    about.is_ok_and(|about| about.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_: &Path) -> bool {
    false
}

/// Writes a run into a file.
pub(super) fn write(output: &Output, record: &RunRecord, directory: &Path) -> Result<(), String> {
    let bytes = output.format.render(record, directory)?;
    std::fs::write(&output.file, bytes)
        .map_err(|error| format!("{}: {error}", output.file.display()))
}

/// Ends with the verdict's code, so that a stored run can be judged in a script.
pub(super) fn main(arguments: &Arguments) -> Exit {
    let mut record = match RunRecord::load(&arguments.directory) {
        Ok(record) => record,
        Err(error) => {
            let meant = super::meant::run(&arguments.directory);
            say(&format!("error: {error}{meant}"));
            return Exit::Usage;
        }
    };
    if let Some(file) = &arguments.perfmon
        && let Err(problem) =
            judge_with_history(&mut record, &arguments.directory, file, arguments.bias)
    {
        say(&format!("error: {problem}"));
        return Exit::Usage;
    }
    let problem = record.timeline_problem(&arguments.directory);
    record.problems.extend(problem);
    let exit = record.verdict.map_or(Exit::Inconclusive, Exit::from);
    let rendered = match &arguments.output {
        Some(file) => {
            let output = Output {
                format: arguments.format,
                file: file.clone(),
            };
            write(&output, &record, &arguments.directory).map(|()| Vec::new())
        }
        None => arguments.format.render(&record, &arguments.directory),
    };
    match rendered {
        Ok(bytes) => print_or_fail(&bytes, exit),
        Err(problem) => {
            say(&format!("error: {problem}"));
            exit.unwritten()
        }
    }
}
