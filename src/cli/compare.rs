//! `easload compare`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use verdict::judge::{Change, Digest, Side, compare, differences};
use verdict::report::{RunRecord, RunState, changes_markdown, changes_text, digest};

use super::{Exit, baseline, print_or_fail};
use crate::terminal::say;

/// Compare two runs of one plan, figure by figure.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Run directory, or the name of a saved baseline.
    before: String,
    /// Run directory, or the name of a saved baseline.
    after: String,
    /// Where baselines are.
    #[arg(long, env = "EASLOAD_BASELINES", default_value = baseline::FOLDER, value_name = "DIR")]
    baselines: PathBuf,
    /// Print every figure, and not only those that have changed.
    #[arg(long)]
    all: bool,
    /// How the table is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// End with 4 if the second run is worse. Where that cannot be told for want of data, the command ends
    /// with 5, with or without this.
    #[arg(long, value_enum)]
    fail_on: Option<FailOn>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For the terminal.
    Text,
    /// For a pull request.
    Markdown,
    /// A JSON object.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Anything is proven worse.
    Worse,
}

pub(super) fn main(arguments: &Arguments) -> Exit {
    let sides: Vec<(RunRecord, Digest)> = [&arguments.before, &arguments.after]
        .into_iter()
        .filter_map(|name| load(name, &arguments.baselines))
        .collect();
    let [before, after] = sides.as_slice() else {
        return Exit::Usage;
    };
    let differences = differences(&before.0.plan, &after.0.plan);
    if !differences.is_empty() {
        say("error: these are runs of different plans, and their figures mean different things:");
        for difference in differences {
            say(&format!("  {difference}"));
        }
        return Exit::Usage;
    }
    let changes = compare(side(before), side(after));
    let (first, second) = (arguments.before.as_str(), arguments.after.as_str());
    let text = match arguments.format {
        Format::Text => changes_text(&changes, first, second, arguments.all),
        Format::Markdown => changes_markdown(&changes, first, second, arguments.all),
        Format::Json => match serde_json::to_string_pretty(&changes) {
            Ok(text) => text + "\n",
            Err(error) => {
                say(&format!("error: {error}"));
                return Exit::Internal;
            }
        },
    };
    let exit = match (changes.change, arguments.fail_on) {
        (Change::Worse, Some(FailOn::Worse)) => Exit::Worse,
        (Change::NotComparable | Change::CannotTell, _) => Exit::Inconclusive,
        _ => Exit::Passed,
    };
    print_or_fail(&text, exit)
}

fn side((record, digest): &(RunRecord, Digest)) -> Side<'_> {
    Side {
        plan: &record.plan,
        digest,
    }
}

/// A run that is complete, with its timeline.
fn load(name: &str, baselines: &Path) -> Option<(RunRecord, Digest)> {
    let (record, directory) = match baseline::find(name, baselines) {
        Ok(found) => found,
        Err(error) => {
            say(&format!("error: {error}"));
            return None;
        }
    };
    if record.state != RunState::Complete {
        say(&format!(
            "error: {name}: the run did not come to its end, so its phases cannot be compared"
        ));
        return None;
    }
    if let Some(problem) = record.timeline_problem(&directory) {
        say(&format!("error: {name}: {problem}"));
        return None;
    }
    match digest(&directory) {
        Ok(digest) => Some((record, digest)),
        Err(error) => {
            say(&format!("error: {error}"));
            None
        }
    }
}
