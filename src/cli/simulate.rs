//! `easload simulate`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, ValueEnum};
use scenario::Plan;
use tokio::sync::watch;
use verdict::judge::Verdict;
use verdict::report::{CheckOutcome, SeedOutcome, SeedOutcomes, summary_text};

use super::{Exit, check, print_or_fail};
use crate::run::{Finished, Interrupt, Options, RunError, SEED, simulatable, simulate};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Scenario file; without one the embedded `recycle-restores-sync` is simulated.
    scenario: Option<PathBuf>,
    /// Seed of all chances, over the scenario's.
    #[arg(long, env = "EASLOAD_SEED")]
    seed: Option<u64>,
    /// Play this number of seeds, from --seed on, and print the share of each verdict and check instead of one
    /// report. No run directory is kept; --seed plays an odd one again.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MOST_SEEDS))]
    seeds: Option<u64>,
    /// Where the run directory is made.
    #[arg(long, env = "EASLOAD_RUNS", default_value = "runs", value_name = "DIR")]
    runs: PathBuf,
    /// Faults that the seed draws strike server and network beside those of the scenario. What must hold
    /// all the same is looked at each second; what is broken is a bug of easload.
    #[arg(long)]
    faults: Option<Mix>,
    /// A progress line for each simulated second.
    #[arg(long, short, conflicts_with = "seeds")]
    verbose: bool,
    /// Say on standard error how fast the simulation was.
    #[arg(long)]
    speed_report: bool,
}

/// Faults that a seed draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mix {
    /// Of every kind.
    Any,
}

/// Nobody waits for more.
const MOST_SEEDS: u64 = 1_000_000;

pub(super) fn main(arguments: &Arguments) -> Exit {
    let plan = match check::load(arguments.scenario.as_deref()) {
        Ok(plan) => plan,
        Err(exit) => return exit,
    };
    let simulatable = simulatable(plan);
    for change in &simulatable.changes {
        say(&format!("simulated: {change}"));
    }
    let seed = arguments.seed.or(simulatable.plan.seed).unwrap_or(SEED);
    let began = tokio::time::Instant::now();
    let simulated = simulatable.plan.duration().as_secs_f64();
    let exit = match arguments.seeds {
        None => one(arguments, simulatable.plan, seed),
        Some(count) => many(arguments, &simulatable.plan, seed, count),
    };
    if arguments.speed_report {
        let simulated = simulated * arguments.seeds.unwrap_or(1) as f64;
        let took = began.elapsed().as_secs_f64();
        say(&format!(
            "simulated {simulated:.0} s in {took:.1} s, {:.0} times as fast as real time",
            simulated / took.max(1e-3)
        ));
    }
    exit
}

/// Plays one seed and prints its report.
fn one(arguments: &Arguments, plan: Plan, seed: u64) -> Exit {
    let options = Options {
        runs: Some(arguments.runs.clone()),
        seed: Some(seed),
        quiet: !arguments.verbose,
        metrics: None,
        faults: arguments.faults.is_some(),
    };
    let finished = match alone(plan, options) {
        Ok(finished) => finished,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::from(&error);
        }
    };
    if !finished.broken.is_empty() {
        return broken(arguments, seed, &finished.broken);
    }
    let record = &finished.record;
    let exit = record.verdict.map_or(Exit::Inconclusive, Exit::from);
    let text = format!(
        "{}Run directory: {}\n",
        summary_text(record),
        finished.directory.display()
    );
    let exit = print_or_fail(&text, exit);
    if finished.is_written {
        exit
    } else {
        exit.unwritten()
    }
}

/// Plays many seeds, one on each processor at a time, and prints what they gave. Seeds that differ are
/// inconclusive.
fn many(arguments: &Arguments, plan: &Plan, first: u64, count: u64) -> Exit {
    let last = first.saturating_add(count - 1);
    let next = AtomicU64::new(first);
    let found = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let played: Result<Vec<_>, RunError> = std::thread::scope(|scope| {
        let play = || {
            let mut outcomes = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed > last {
                    return Ok(outcomes);
                }
                let faults = arguments.faults.is_some();
                let (outcome, problems) = outcome(plan.clone(), seed, faults)?;
                if !problems.is_empty() {
                    found.fetch_add(1, Ordering::Relaxed);
                    broken(arguments, seed, &problems);
                }
                outcomes.push(outcome);
            }
        };
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        let played = players.into_iter().map(|player| match player.join() {
            Ok(outcomes) => outcomes,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        played.collect()
    });
    let outcomes: SeedOutcomes = match played {
        Ok(outcomes) => outcomes.into_iter().flatten().collect(),
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::from(&error);
        }
    };
    let text = format!(
        "{} seeds of {}, from {first} to {last}\n{outcomes}",
        count, plan.name
    );
    let found = found.into_inner();
    let text = match (arguments.faults, found) {
        (None, _) => text,
        (Some(_), 0) => {
            format!("{text}No invariant was broken in any seed.\n")
        }
        (Some(_), found) => {
            format!("{text}An invariant was broken in {found} of {count} seeds.\n")
        }
    };
    let exit = match found {
        0 if arguments.faults.is_some() => Exit::Passed,
        0 => outcomes.verdict().map_or(Exit::Inconclusive, Exit::from),
        _ => Exit::Internal,
    };
    print_or_fail(&text, exit)
}

/// Tells what a seed has found, and how to see it again.
fn broken(arguments: &Arguments, seed: u64, problems: &[String]) -> Exit {
    say(&broken_text(arguments, seed, problems));
    Exit::Internal
}

/// Each problem with the last events of its device, and the command that plays the seed again.
fn broken_text(arguments: &Arguments, seed: u64, problems: &[String]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("seed {seed}: {problem}\n"));
    }
    let mut again = String::from("easload simulate");
    if let Some(scenario) = &arguments.scenario {
        again.push_str(&format!(" {}", scenario.display()));
    }
    if arguments.faults.is_some() {
        again.push_str(" --faults any");
    }
    text.push_str(&format!(
        "seed {seed}: this is a bug of easload; repeat it with `{again} --seed {seed}`"
    ));
    text
}

/// What a seed gives. Its files are not kept.
fn outcome(plan: Plan, seed: u64, faults: bool) -> Result<(SeedOutcome, Vec<String>), RunError> {
    let options = Options {
        runs: None,
        seed: Some(seed),
        quiet: true,
        metrics: None,
        faults,
    };
    let Finished { record, broken, .. } = alone(plan, options)?;
    let checks = record.checks.iter();
    let outcome = SeedOutcome {
        seed,
        verdict: record.verdict.unwrap_or(Verdict::Inconclusive),
        checks: checks
            .map(|check| CheckOutcome {
                name: check.name.clone(),
                outcome: check.outcome,
                reason: check.reason.clone(),
            })
            .collect(),
    };
    Ok((outcome, broken))
}

/// One simulation on a thread of its own: its runtime cannot live inside another.
fn alone(plan: Plan, options: Options) -> Result<Finished, RunError> {
    let simulation = std::thread::spawn(move || {
        // Nobody interrupts it: it ends in seconds, and a signal ends the program.
        let (_signal, interrupt) = watch::channel(Interrupt::None);
        simulate(plan, &options, interrupt)
    });
    match simulation.join() {
        Ok(finished) => finished,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &str) -> Arguments {
        let words = std::iter::once("simulate").chain(line.split_whitespace());
        Line::parse_from(words).arguments
    }

    #[test]
    fn failing_seed_names_its_problems_and_a_command_that_repeats_it() {
        let problems = ["a socket is left".to_owned(), "device 3: …".to_owned()];
        for (line, seed, command) in [
            ("", 1, "easload simulate --seed 1"),
            (
                "lab.toml --faults any --seeds 100 --seed 7",
                42,
                "easload simulate lab.toml --faults any --seed 42",
            ),
        ] {
            let text = broken_text(&arguments(line), seed, &problems);
            let expected = format!(
                "seed {seed}: a socket is left\nseed {seed}: device 3: …\nseed {seed}: this is a bug of easload; \
                 repeat it with `{command}`"
            );
            assert_eq!(text, expected);
            // The command is one that this program takes, and plays that seed alone.
            let words = command.strip_prefix("easload simulate").unwrap_or_default();
            let again = arguments(words);
            assert_eq!((again.seed, again.seeds), (Some(seed), None));
            assert_eq!(again.faults, arguments(line).faults);
            assert_eq!(again.scenario, arguments(line).scenario);
        }
    }
}
