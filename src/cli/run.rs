//! `easload run`.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::sync::watch;
use verdict::report::{RunRecord, RunState, annotations, summary_markdown, summary_text};

use super::places::Places;
use super::{Exit, check, print_or_fail, report};
use crate::run::{Interrupt, Options, run};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Scenario file; without one the embedded `recycle-restores-sync` is played on the mock.
    scenario: Option<PathBuf>,
    /// Seed of all chances, over the scenario's.
    #[arg(long, env = "EASLOAD_SEED")]
    seed: Option<u64>,
    #[command(flatten)]
    places: Places,
    /// No progress line a second.
    #[arg(long, short)]
    quiet: bool,
}

pub(super) async fn main(arguments: Arguments) -> Exit {
    let plan = match check::load(arguments.scenario.as_deref()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let unwritable = arguments.places.unwritable();
    if !unwritable.is_empty() {
        for problem in unwritable {
            say(&format!("error: {problem}"));
        }
        return Exit::Usage;
    }
    // Of its policy the run tells itself, once it knows when the worker started.
    let warnings = plan.warnings().into_iter();
    for warning in warnings.chain(check::port_shortage(&plan)) {
        say(&format!("warning: {warning}"));
    }
    let (signal, interrupt) = watch::channel(Interrupt::None);
    // The handlers are in place before anything else begins.
    tokio::spawn(watch_signals(Signals::new(), signal));
    let options = Options {
        runs: Some(arguments.places.runs),
        seed: arguments.seed,
        quiet: arguments.quiet,
        metrics: arguments.places.metrics,
        faults: false,
    };
    let finished = match run(plan, &options, interrupt.clone()).await {
        Ok(finished) => finished,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::from(&error);
        }
    };
    let record = &finished.record;
    let exit = match (record.state, *interrupt.borrow()) {
        (RunState::Interrupted, Interrupt::Term) => Exit::Terminated,
        (RunState::Interrupted, _) => Exit::Interrupted,
        _ => record.verdict.map_or(Exit::Inconclusive, Exit::from),
    };
    let text = format!(
        "{}Run directory: {}\n",
        summary_text(record),
        finished.directory.display()
    );
    let exit = print_or_fail(&text, exit);
    let mut wrong = write_outputs(&arguments.places.write, record, &finished.directory);
    wrong.extend(tell_github(record));
    for problem in &wrong {
        say(&format!("error: {problem}"));
    }
    if wrong.is_empty() && finished.is_written {
        exit
    } else {
        exit.unwritten()
    }
}

fn write_outputs(outputs: &[report::Output], record: &RunRecord, directory: &Path) -> Vec<String> {
    let written = outputs
        .iter()
        .map(|output| report::write(output, record, directory));
    written.filter_map(Result::err).collect()
}

/// In GitHub Actions, which says so itself: annotations, and a page for the job.
fn tell_github(record: &RunRecord) -> Option<String> {
    use std::io::Write as _;
    if std::env::var("GITHUB_ACTIONS").as_deref() != Ok("true") {
        return None;
    }
    if let Err(error) = super::print(annotations(record)) {
        return Some(format!("cannot write to standard output: {error}"));
    }
    let page = std::env::var_os("GITHUB_STEP_SUMMARY")?;
    let page = Path::new(&page);
    let appended = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(page)
        .and_then(|mut file| file.write_all(summary_markdown(record).as_bytes()));
    let error = appended.err()?;
    Some(format!("{}: {error}", page.display()))
}

/// The first signal ends the run properly, the second leaves at once.
async fn watch_signals(mut signals: Signals, signal: watch::Sender<Interrupt>) {
    loop {
        let kind = signals.next().await;
        if *signal.borrow() != Interrupt::None {
            say("leaving at once; `easload report` shows what was measured");
            let exit = if kind == Interrupt::Term {
                Exit::Terminated
            } else {
                Exit::Interrupted
            };
            std::process::exit(exit.code().into());
        }
        say("stopping; once more to leave at once");
        signal.send_replace(kind);
    }
}

/// Handlers that stay in place between two signals, so that none is lost.
#[cfg(unix)]
struct Signals {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        // Without a handler the signal ends the process by itself.
        Self {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    async fn next(&mut self) -> Interrupt {
        async fn wait(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = wait(&mut self.interrupt) => Interrupt::Int,
            () = wait(&mut self.terminate) => Interrupt::Term,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    const fn new() -> Self {
        Self
    }

    async fn next(&mut self) -> Interrupt {
        // Fails only if no handler can be set; then Ctrl-C ends the process by itself.
        let _ = tokio::signal::ctrl_c().await;
        Interrupt::Int
    }
}
