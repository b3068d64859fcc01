//! `easload mock`, and the worker it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mock_server::{Fault, FrontDoor, MockConfig, Tls, Topology, WorkerLauncher};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::{Exit, check, print};
use crate::observe::descriptors;
use crate::scenario::TargetPlan;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where devices connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where metrics and the control API are.
    #[arg(long, default_value = "127.0.0.1:8481", value_name = "ADDRESS:PORT")]
    control: SocketAddr,
    /// How requests travel inside the server.
    #[arg(long, value_enum)]
    topology: Option<TopologyArgument>,
    /// Speak TLS, with a certificate of a CA made at start (printed with --json).
    #[arg(long)]
    tls: bool,
    /// Take the [mock] table of this scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Share of abandoned Pings, 0 to 1, that strand.
    #[arg(long, value_name = "SHARE")]
    strand: Option<f64>,
    /// Print the addresses as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Read the whole configuration as one line of JSON, and end when standard input closes.
    #[arg(long, hide = true)]
    config_stdin: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum TopologyArgument {
    /// Front end and back end in one pool on one server.
    OneServer,
    /// Front end and back end on two servers.
    TwoServers,
    /// No front-end proxy.
    Direct,
}

pub(super) async fn main(arguments: Arguments) -> Exit {
    let mut input = BufReader::new(tokio::io::stdin());
    let lifeline = arguments.config_stdin;
    let json = arguments.json || lifeline;
    let config = if lifeline {
        let mut line = String::new();
        let read = input
            .read_line(&mut line)
            .await
            .map_err(|error| error.to_string());
        match read.and_then(|_| serde_json::from_str(&line).map_err(|error| error.to_string())) {
            Ok(config) => config,
            Err(error) => {
                eprintln!("error: the configuration on standard input: {error}");
                return Exit::Usage;
            }
        }
    } else {
        match config(&arguments) {
            Ok(config) => config,
            Err(exit) => return exit,
        }
    };
    // As many descriptors as the system allows: the mock cannot know how many devices will come.
    let _ = descriptors();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("error: cannot find this program for the worker: {error}");
            return Exit::Internal;
        }
    };
    let launcher = WorkerLauncher::Process {
        program,
        arguments: vec!["mock-worker".into()],
    };
    let front_door = match FrontDoor::start(config, launcher).await {
        Ok(front_door) => front_door,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage;
        }
    };
    let addresses = front_door.addresses();
    let text = if json {
        match serde_json::to_string(addresses) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("error: {error}");
                return Exit::Internal;
            }
        }
    } else {
        format!(
            "devices  {}\ncontrol  {}  (/metrics, /truth, /health, and more)\nstop with Ctrl-C",
            addresses.url, addresses.control
        )
    };
    if print(&format!("{text}\n")).is_err() {
        return Exit::Internal;
    }
    tokio::select! {
        () = front_door.asked_to_stop() => {}
        () = closed(&mut input), if lifeline => {}
        _ = tokio::signal::ctrl_c(), if !lifeline => {}
        () = terminated() => {}
    }
    front_door.shutdown().await;
    Exit::Passed
}

fn config(arguments: &Arguments) -> Result<MockConfig, Exit> {
    let mut config = MockConfig::default();
    if let Some(path) = &arguments.scenario {
        match check::load(Some(path))?.target {
            TargetPlan::Mock(of_scenario) => config = *of_scenario,
            TargetPlan::Server { .. } => {
                eprintln!(
                    "error: {}: expected a scenario with a [mock] table",
                    path.display()
                );
                return Err(Exit::Usage);
            }
        }
    }
    config.listen = arguments.listen;
    config.control = arguments.control;
    if arguments.tls && config.tls == Tls::Off {
        config.tls = Tls::Generated;
    }
    if let Some(topology) = arguments.topology {
        config.topology = match topology {
            TopologyArgument::OneServer => Topology::OneServer,
            TopologyArgument::TwoServers => Topology::TwoServers,
            TopologyArgument::Direct => Topology::Direct,
        };
    }
    if let Some(strand) = arguments.strand {
        config.faults.push(Fault::strand(strand));
    }
    Ok(config)
}

/// Returns at the end of standard input: whoever started the mock is gone.
async fn closed(input: &mut BufReader<tokio::io::Stdin>) {
    let mut sink = [0; 64];
    while matches!(input.read(&mut sink).await, Ok(count) if count > 0) {}
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        // Without a handler the signal ends the process by itself.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

pub(super) async fn worker() -> Exit {
    // The worker ends when the front door closes the link; a Ctrl-C on the terminal is not for it.
    #[cfg(unix)]
    tokio::spawn(async {
        loop {
            let _ = tokio::signal::ctrl_c().await;
        }
    });
    let _ = descriptors();
    match mock_server::worker::run(tokio::io::stdin(), tokio::io::stdout()).await {
        Ok(()) => Exit::Passed,
        Err(error) => {
            eprintln!("mock worker: {error}");
            Exit::Internal
        }
    }
}
