//! `easload mock`, and the worker it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mock_api::config::time_scale_text;
use mock_api::{Fault, MockConfig, Tls, Topology};
use mock_server::{Addresses, FrontDoor, Machine, StartError, WorkerLauncher};
use scenario::{parse_mock, read_config, read_text};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::port_file::PortFile;
use super::{Exit, print};
use crate::observe::descriptors;
use crate::terminal::say;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where devices connect; port 0 takes a free one. Further servers take the next ports.
    #[arg(long, default_value = "127.0.0.1:8480", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Where metrics and the control API are.
    #[arg(long, default_value = "127.0.0.1:8481", value_name = "ADDRESS:PORT")]
    control: SocketAddr,
    /// Take the [mock] table of this file: a scenario, or a file with nothing else.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// How requests travel inside the server.
    #[arg(long, value_enum)]
    topology: Option<TopologyArgument>,
    /// Servers over the same mailboxes, each with a pool and a port of its own.
    #[arg(long, value_name = "COUNT")]
    servers: Option<usize>,
    /// Speak TLS, with a certificate of a CA made at start (printed with --json).
    #[arg(long)]
    tls: bool,
    /// Speak TLS with this certificate chain, in PEM.
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "tls")]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Log users in by client certificates of these authorities, in PEM.
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Also accept the Bearer token `<user>.<TEXT>`.
    #[arg(long, value_name = "TEXT")]
    bearer_token: Option<String>,
    /// Take the pool's settings from this applicationHost.config, and watch it.
    #[arg(long, value_name = "FILE")]
    pool_config: Option<PathBuf>,
    /// The pool in that file; MSExchangeSyncAppPool if absent.
    #[arg(long, value_name = "NAME", requires = "pool_config")]
    pool: Option<String>,
    /// Seconds of pool life in one second.
    #[arg(long, value_name = "NUMBER")]
    time_scale: Option<f64>,
    /// Share of abandoned Pings, 0 to 1, that strand.
    #[arg(long, value_name = "SHARE", conflicts_with = "fixed")]
    strand: Option<f64>,
    /// Strand nothing, as Exchange 2016 from Cumulative Update 11 on.
    #[arg(long)]
    fixed: bool,
    /// Write event lines, IIS log, HTTPERR log and performance log into this folder.
    #[arg(long, value_name = "DIR")]
    logs: Option<PathBuf>,
    /// Write the addresses as one line of JSON into this file once the mock serves; it is removed at the
    /// end, also if the mock is killed.
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
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
    let config = if arguments.config_stdin {
        piped_config(&mut input).await
    } else {
        config(&arguments)
    };
    let config = match config {
        Ok(config) => config,
        Err(problem) => {
            // A list of mistakes begins with "error" itself.
            say(&problem);
            return Exit::Usage;
        }
    };
    // As many descriptors as the system allows: the mock cannot know how many devices will come.
    let _ = descriptors();
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            say(&format!(
                "error: cannot find this program for the worker: {error}"
            ));
            return Exit::Internal;
        }
    };
    let launcher = WorkerLauncher::Process {
        program,
        arguments: vec!["mock-worker".into()],
    };
    let (pool, assumptions) = (config.pool_text(), config.assumptions());
    if let Some(path) = &arguments.port_file {
        // One that another mock left behind would be taken for this one's.
        let _ = std::fs::remove_file(path);
    }
    let front_door = match FrontDoor::start(config, launcher).await {
        Ok(front_door) => front_door,
        Err(error) => {
            say(&format!("error: {error}{}", hint(&error)));
            return Exit::Usage;
        }
    };
    let text = described(front_door.addresses(), &pool, &assumptions);
    let exit = serve(&front_door, &arguments, text, &mut input).await;
    front_door.shutdown().await;
    exit
}

/// What to do about a mock that cannot start, where that is not plain.
fn hint(error: &StartError) -> &'static str {
    match error {
        StartError::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
            "; another mock may be running: end it, or choose other addresses with --listen and --control"
        }
        _ => "",
    }
}

/// Tells where the mock is, and returns when it is to end.
async fn serve(
    front_door: &FrontDoor,
    arguments: &Arguments,
    text: String,
    input: &mut BufReader<tokio::io::Stdin>,
) -> Exit {
    let lifeline = arguments.config_stdin;
    let addresses = front_door.addresses();
    let line = match serde_json::to_string(addresses) {
        Ok(line) => line,
        Err(error) => {
            say(&format!("error: {error}"));
            return Exit::Internal;
        }
    };
    let text = if arguments.json || lifeline {
        line.clone()
    } else {
        text
    };
    // Before anybody can know of this process, and end it.
    let ended = ended_by_signal(!lifeline);
    let port_file = arguments.port_file.as_deref();
    let port_file = port_file.map(|path| PortFile::write(path, &line));
    let _port_file = match port_file.transpose() {
        Ok(file) => file,
        Err(problem) => {
            say(&format!("error: {problem}"));
            return Exit::Usage;
        }
    };
    if print(format!("{text}\n")).is_err() {
        return Exit::Internal;
    }
    tokio::select! {
        () = front_door.asked_to_stop() => {}
        () = closed(input), if lifeline => {}
        () = ended => {}
    }
    Exit::Passed
}

/// For people: where it is, by which clock it lives, and what no source says.
fn described(addresses: &Addresses, pool: &str, assumptions: &[String]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (index, server) in addresses.servers.iter().enumerate() {
        let name = if index == 0 { "devices" } else { "" };
        lines.push(format!("{name:<8} {}", server.url));
    }
    lines.push(format!(
        "control  {}  (/metrics, /truth, /faults, /openapi.json and more)",
        addresses.control
    ));
    lines.push("users    any name, password \"secret\"".to_owned());
    lines.push(format!(
        "time     {}",
        time_scale_text(addresses.time_scale)
    ));
    lines.push(format!("pool     {pool}"));
    for (index, assumption) in assumptions.iter().enumerate() {
        let name = if index == 0 { "assumed" } else { "" };
        lines.push(format!("{name:<8} {assumption}"));
    }
    lines.push("stop with Ctrl-C".to_owned());
    lines.join("\n")
}

async fn piped_config(input: &mut BufReader<tokio::io::Stdin>) -> Result<MockConfig, String> {
    let mut line = String::new();
    let wrong = |problem: String| format!("error: the configuration on standard input: {problem}");
    input
        .read_line(&mut line)
        .await
        .map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&line).map_err(|error| wrong(error.to_string()))
}

fn config(arguments: &Arguments) -> Result<MockConfig, String> {
    let mut config = match &arguments.scenario {
        None => MockConfig::default(),
        Some(path) => {
            let text =
                read_text(path).map_err(|error| format!("error: {}: {error}", path.display()))?;
            parse_mock(&path.display().to_string(), &text).map_err(|error| error.to_string())?
        }
    };
    config.listen = arguments.listen;
    config.control = arguments.control;
    if arguments.tls && config.tls == Tls::Off {
        config.tls = Tls::Generated;
    }
    if let (Some(certificate), Some(key)) = (&arguments.certificate, &arguments.key) {
        config.tls = Tls::Files {
            certificate: certificate.clone(),
            key: key.clone(),
        };
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
    if let Some(path) = &arguments.pool_config {
        let pool = arguments.pool.as_deref().unwrap_or(iis::SYNC_POOL);
        let bytes =
            read_config(path).map_err(|error| format!("error: {}: {error}", path.display()))?;
        config.pool = iis::read_pool(&path.display().to_string(), &bytes, pool)
            .map_err(|error| format!("error: {error}"))?
            .settings;
        config.pool_file = Some(path.clone());
    }
    config.servers = arguments.servers.unwrap_or(config.servers);
    config.time_scale = arguments.time_scale.unwrap_or(config.time_scale);
    config.fixed |= arguments.fixed;
    let optional = |given: &Option<PathBuf>, before| given.clone().or(before);
    config.client_ca = optional(&arguments.client_ca, config.client_ca);
    config.logs = optional(&arguments.logs, config.logs);
    config.bearer_token = arguments.bearer_token.clone().or(config.bearer_token);
    Ok(config)
}

/// Returns at the end of standard input: whoever started the mock is gone.
async fn closed(input: &mut BufReader<tokio::io::Stdin>) {
    let mut sink = [0; 64];
    while matches!(input.read(&mut sink).await, Ok(count) if count > 0) {}
}

/// Waits for SIGTERM and SIGHUP, and for SIGINT where that is not the harness's affair. The handlers are in
/// place when this returns, but for Windows.
#[cfg(unix)]
fn ended_by_signal(with_interrupt: bool) -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    async fn wait(handler: Option<tokio::signal::unix::Signal>) {
        match handler {
            Some(mut handler) => {
                handler.recv().await;
            }
            // Without a handler the signal ends the process by itself.
            None => std::future::pending().await,
        }
    }
    let terminate = signal(SignalKind::terminate()).ok();
    // nohup starts programs that ignore it, and they must go on doing so.
    let hang_up = (!ignores_hang_up())
        .then(|| signal(SignalKind::hangup()).ok())
        .flatten();
    let interrupt = with_interrupt
        .then(|| signal(SignalKind::interrupt()).ok())
        .flatten();
    async move {
        tokio::select! {
            () = wait(terminate) => {}
            () = wait(hang_up) => {}
            () = wait(interrupt) => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored. A handler would undo that, and only Linux shows it
/// without unsafe code; elsewhere the answer is no.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    /// SIGHUP is signal 1, the lowest bit.
    const HANG_UP: u64 = 1;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANG_UP != 0)
}

#[cfg(not(unix))]
async fn ended_by_signal(with_interrupt: bool) {
    if !with_interrupt || tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

/// Over its standard streams, which are pipes: tokio's own handles would carry every message through
/// a thread made for blocking files.
#[cfg(unix)]
async fn run_worker() -> std::io::Result<()> {
    use std::os::fd::AsFd as _;
    use tokio::net::unix::pipe::{Receiver, Sender};
    let input = Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let output = Sender::from_owned_fd(std::io::stdout().as_fd().try_clone_to_owned()?)?;
    mock_server::worker::run(Machine::System, input, output).await
}

#[cfg(not(unix))]
async fn run_worker() -> std::io::Result<()> {
    mock_server::worker::run(Machine::System, tokio::io::stdin(), tokio::io::stdout()).await
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
    match run_worker().await {
        Ok(()) => Exit::Passed,
        Err(error) => {
            say(&format!("mock worker: {error}"));
            Exit::Internal
        }
    }
}
