//! `easload bench`.

use clap::{Args, ValueEnum};
use scenario::MAX_HEARTBEAT;

use super::{Exit, print_or_fail};
use crate::bench::{A_DAY, Bench, BenchError, Options, measure};
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::Hold)]
    what: What,
    /// Devices that hold a Ping at the end.
    #[arg(long, default_value_t = 18_000, value_parser = clap::value_parser!(u32).range(1..=MOST_DEVICES))]
    devices: u32,
    /// Devices at the first memory reading (hold); a ninth of all if absent.
    #[arg(long)]
    from: Option<u32>,
    /// Devices started a second.
    #[arg(long, default_value_t = 3_000.0, value_parser = rate)]
    rate: f64,
    /// Heartbeat in seconds; must outlast the ramp (hold).
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_HEARTBEAT)))]
    heartbeat: u32,
    /// Workers of the mock.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    workers: u32,
    /// TLS instead of plain HTTP.
    #[arg(long)]
    tls: bool,
    /// Front end and back end instead of the direct topology; twice the descriptors in the mock.
    #[arg(long)]
    full: bool,
    /// Length of the made-up run (journal).
    #[arg(long, default_value_t = A_DAY, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Five kinds of devices in place of one: sleeping, hanging Sync, second Pings and all folders,
    /// users at work (hold).
    #[arg(long)]
    mixed: bool,
    /// Things that all users together do in a second (activity).
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    acts: u32,
    /// Leave out the wait for the heartbeats to end (hold).
    #[arg(long)]
    no_overshoot: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Memory of held Pings, the ramp, and how late answers are.
    Hold,
    /// Empty Pings with a heartbeat of one second, per second of the mock's processor time.
    RoundTrips,
    /// A recycle with every Ping held: when the last is cut, and when all are held again.
    Recycle,
    /// Commands of heavy activity per second of each side's processor time.
    Activity,
    /// What recording, the journal and judging cost, with made-up events.
    Journal,
}

/// As many as a scenario may have.
const MOST_DEVICES: i64 = 1_000_000;

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    // The bounds of `ramp_rate` in scenarios.
    rate.filter(|rate| (0.01..=1e6).contains(rate))
        .ok_or_else(|| "expected a number from 0.01 to 1000000".to_owned())
}

pub(super) async fn main(arguments: Arguments) -> Exit {
    let bench = match arguments.what {
        What::Hold => Bench::Hold,
        What::RoundTrips => Bench::RoundTrips,
        What::Recycle => Bench::Recycle,
        What::Activity => Bench::Activity,
        What::Journal => Bench::Journal,
    };
    let options = Options {
        devices: arguments.devices,
        from: arguments.from,
        rate: arguments.rate,
        heartbeat: arguments.heartbeat,
        workers: arguments.workers,
        tls: arguments.tls,
        full: arguments.full,
        overshoot: !arguments.no_overshoot,
        seconds: arguments.seconds,
        acts: arguments.acts,
        mixed: arguments.mixed,
    };
    match measure(bench, &options).await {
        Ok(text) => print_or_fail(&text, Exit::Passed),
        Err(problem) => {
            say(&format!("error: {problem}"));
            match problem {
                BenchError::Options(_) => Exit::Usage,
                _ => Exit::Internal,
            }
        }
    }
}
