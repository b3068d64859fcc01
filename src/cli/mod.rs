//! The command line: words typed → a command. One file per subcommand.

mod baseline;
mod bench;
mod check;
mod compare;
mod exit;
mod hexadecimal;
mod meant;
mod mock;
mod places;
mod policy;
mod port_file;
mod probe;
mod report;
mod run;
mod schema;
mod simulate;
mod wbxml;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::Exit;

use crate::terminal::say;

/// Load and regression test harness for Exchange ActiveSync.
///
/// Plays thousands of devices that hold Pings against a server, or against the bundled mock, and
/// gives a verdict on stranded Pings and on the recycle that should cure them.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::TABLE)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play a scenario, report and judge.
    Run(run::Arguments),
    /// Play a scenario in a simulated world: hours in seconds, the same for the same seed.
    Simulate(simulate::Arguments),
    /// Read a scenario and print what it will do and needs; contacts nobody.
    Check(check::Arguments),
    /// Play one device's whole life, step by step, and print every request and answer.
    Probe(Box<probe::Arguments>),
    /// Print the report of a run again.
    Report(report::Arguments),
    /// Compare two runs of one plan, figure by figure.
    Compare(compare::Arguments),
    /// Keep runs by name, to compare later ones with.
    Baseline(baseline::Arguments),
    /// Read an applicationHost.config: when the pool recycles, what that does, what is wrong.
    Policy(policy::Arguments),
    /// Run the bundled Exchange mock alone.
    Mock(Box<mock::Arguments>),
    /// Turn WBXML bodies into XML and back.
    Wbxml(wbxml::Arguments),
    /// Measure what holding Pings costs; prints the figures of docs/performance.md.
    Bench(bench::Arguments),
    /// Print the JSON schema of run.json, or the description of the mock's control API.
    Schema(schema::Arguments),
    /// A worker of the mock; started by it.
    #[command(hide = true)]
    MockWorker,
    /// The guard of a mock's port file; started by the mock.
    #[command(hide = true)]
    MockPortFile(port_file::GuardArguments),
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("cannot start the runtime: {error}"));
            return Exit::Internal.into();
        }
    };
    let exit = runtime.block_on(async {
        match arguments.command {
            Verb::Run(arguments) => run::main(arguments).await,
            Verb::Simulate(arguments) => simulate::main(&arguments),
            Verb::Check(arguments) => check::main(&arguments),
            Verb::Probe(arguments) => probe::main(*arguments).await,
            Verb::Report(arguments) => report::main(&arguments),
            Verb::Compare(arguments) => compare::main(&arguments),
            Verb::Baseline(arguments) => baseline::main(&arguments),
            Verb::Policy(arguments) => policy::main(&arguments),
            Verb::Mock(arguments) => mock::main(*arguments).await,
            Verb::Wbxml(arguments) => wbxml::main(&arguments),
            Verb::Bench(arguments) => bench::main(arguments).await,
            Verb::Schema(arguments) => schema::main(&arguments),
            Verb::MockWorker => mock::worker().await,
            Verb::MockPortFile(arguments) => port_file::guard(&arguments).await,
        }
    });
    // A blocked read of standard input would otherwise keep the process.
    runtime.shutdown_background();
    exit.into()
}

/// Prints to standard output; a reader that has gone (`| head`) is no error.
fn print(bytes: impl AsRef<[u8]>) -> Result<(), std::io::Error> {
    use std::io::Write as _;
    let mut output = std::io::stdout();
    // Without the flush, an error of the last line would be lost.
    match output
        .write_all(bytes.as_ref())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints to standard output and reports a failure on standard error.
fn print_or_fail(bytes: impl AsRef<[u8]>, exit: Exit) -> Exit {
    match print(bytes) {
        Ok(()) => exit,
        Err(error) => {
            say(&format!("error: cannot write to standard output: {error}"));
            exit.unwritten()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_table_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
