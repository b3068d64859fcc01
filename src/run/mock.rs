//! The mock that a run starts: a process of its own, so that its memory and sockets are not the harness's;
//! in a simulation part of this process.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use mock_api::control::Truth;
use mock_api::{MockConfig, Tls};
use mock_client::{Control, ControlError, plain_http};
use mock_server::{Addresses, FrontDoor, Machine, WorkerLauncher};
use sim_net::SimNet;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

/// Why the mock is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// It cannot be started.
    #[error("cannot start the mock: {0}")]
    Start(String),
    /// It does not take its configuration, and has said why.
    #[error("the mock refused its configuration; its message is above")]
    Refused,
}

/// It starts in some 100 ms; a loaded machine gets this long.
const START_LIMIT: Duration = Duration::from_secs(30);
/// From the request to end until it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A call to the mock; it answers in milliseconds.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// For the mock's control API: never through a proxy, never for ever.
pub(super) fn local_client() -> reqwest::Client {
    plain_http()
        .timeout(CALL_LIMIT)
        .build()
        .expect("it needs nothing of the system")
}

/// A mock that was started for this run.
pub struct RunningMock {
    addresses: Addresses,
    ca: Option<tempfile::NamedTempFile>,
    control: Control,
    life: Life,
}

/// A mock's process.
struct Process {
    child: Child,
    _lifeline: ChildStdin,
}

/// What a mock lives in.
enum Life {
    /// A process. It ends when its standard input closes, so it cannot be left behind, whatever happens to
    /// this process.
    Process(Box<Process>),
    /// A machine of a simulated network.
    Simulated(Box<FrontDoor>),
}

impl RunningMock {
    /// Starts one; it serves when this returns.
    ///
    /// # Errors
    /// When the program cannot be started or does not become ready.
    pub async fn start(config: &MockConfig) -> Result<Self, MockError> {
        let fail = |problem: String| MockError::Start(problem);
        let program = std::env::current_exe().map_err(|error| fail(error.to_string()))?;
        let mut command = Command::new(program);
        command
            .args(["mock", "--config-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        // A Ctrl-C on the terminal is for the harness, which needs the mock to drain.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(|error| fail(error.to_string()))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(fail("it has no standard streams".to_owned()));
        };
        let mut line = serde_json::to_vec(config).map_err(|error| fail(error.to_string()))?;
        line.push(b'\n');
        input
            .write_all(&line)
            .await
            .map_err(|error| fail(error.to_string()))?;
        let mut lines = BufReader::new(output).lines();
        let ready = timeout(START_LIMIT, lines.next_line()).await;
        let line = match ready {
            Err(_) => return Err(fail(format!("not ready after {} s", START_LIMIT.as_secs()))),
            Ok(Err(error)) => return Err(fail(error.to_string())),
            Ok(Ok(None)) => {
                /// As `Exit::Usage`.
                const USAGE: i32 = 2;
                let status = timeout(STOP_LIMIT, child.wait()).await;
                return Err(match status {
                    Ok(Ok(status)) if status.code() == Some(USAGE) => MockError::Refused,
                    _ => fail("it ended at once; its message is above".to_owned()),
                });
            }
            Ok(Ok(Some(line))) => line,
        };
        let addresses: Addresses = serde_json::from_str(&line)
            .map_err(|error| fail(format!("it printed `{line}`: {error}")))?;
        let ca = match &addresses.ca {
            None => None,
            Some(pem) => Some(ca_file(pem).map_err(|error| fail(error.to_string()))?),
        };
        let control = Control::new(&addresses.control).map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            addresses,
            ca,
            control,
            life: Life::Process(Box::new(Process {
                child,
                _lifeline: input,
            })),
        })
    }

    /// Starts one on a machine of that network. It speaks no TLS: nobody listens to such a network, and a
    /// handshake's keys would differ from run to run.
    ///
    /// # Errors
    /// When the configuration is impossible.
    pub async fn simulated(config: &MockConfig, net: SimNet) -> Result<Self, MockError> {
        let config = MockConfig {
            tls: Tls::Off,
            ..config.clone()
        };
        let machine = Machine::Simulated(net);
        let started = FrontDoor::start_on(machine, config, WorkerLauncher::InProcess).await;
        let front_door = started.map_err(|error| MockError::Start(error.to_string()))?;
        Ok(Self {
            addresses: front_door.addresses().clone(),
            ca: None,
            control: front_door.control(),
            life: Life::Simulated(Box::new(front_door)),
        })
    }

    /// Where it is reached.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// A file with its CA certificate, if it speaks TLS.
    #[must_use]
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.ca.as_ref().map(|file| file.path().to_owned())
    }

    /// Its exit status, if it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        match &mut self.life {
            Life::Process(process) => {
                let ended = process.child.try_wait().ok().flatten();
                ended.map(|status| status.to_string())
            }
            Life::Simulated(_) => None,
        }
    }

    /// Its control API.
    #[must_use]
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// What really happens inside.
    ///
    /// # Errors
    /// When the mock does not answer.
    pub async fn truth(&self) -> Result<Truth, ControlError> {
        self.control.truth().await
    }

    /// Ends it, politely first.
    pub async fn stop(self) {
        match self.life {
            Life::Process(process) => {
                let mut child = process.child;
                let asked = self.control.shutdown().await;
                if asked.is_err() || timeout(STOP_LIMIT, child.wait()).await.is_err() {
                    // Dead already, or deaf; the child is killed when it is dropped in any case.
                    let _ = child.kill().await;
                }
            }
            Life::Simulated(front_door) => front_door.shutdown().await,
        }
    }
}

fn ca_file(pem: &str) -> std::io::Result<tempfile::NamedTempFile> {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(pem.as_bytes())?;
    file.flush()?;
    Ok(file)
}
