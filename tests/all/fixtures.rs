//! What several modules need.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use client::device::{Identity, Profile};
use mock_api::MockConfig;
use mock_server::{Addresses, FrontDoor, WorkerLauncher};
use scenario::{HeartbeatPlan, PingBody, QueryForm, Wait};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The built program.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_easload"))
}

/// Writes a program that is then executed. A child process writes it: a file that this process has open for
/// writing is open in a child that another thread has just forked, too, and cannot be executed (ETXTBSY).
#[cfg(unix)]
pub(crate) fn write_executable(path: &Path, content: &[u8]) {
    use std::io::Write as _;
    let mut child = std::process::Command::new("sh")
        .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// Workers as real processes.
pub(crate) fn worker_process() -> WorkerLauncher {
    WorkerLauncher::Process {
        program: program(),
        arguments: vec!["mock-worker".into()],
    }
}

/// A mock that answers quickly, with a real worker process.
pub(crate) async fn mock(change: impl FnOnce(&mut MockConfig)) -> FrontDoor {
    let mut config = MockConfig {
        min_heartbeat: Duration::from_secs(1),
        poll_interval: Duration::from_millis(20),
        ..MockConfig::default()
    };
    config.heap.pause_per_mib = Duration::ZERO;
    config.warm_up = Duration::ZERO;
    config.port_wait = Duration::ZERO;
    change(&mut config);
    FrontDoor::start(config, worker_process()).await.unwrap()
}

pub(crate) fn identity(device: u32, password: &str) -> Arc<Identity> {
    use base64::Engine as _;
    let user_name = format!("load{device:04}");
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user_name}:{password}"));
    Arc::new(Identity {
        device,
        user: device,
        user_name,
        authorization: format!("Basic {credentials}").into(),
        device_id: format!("EASLOAD{device:08}"),
    })
}

pub(crate) fn profile(heartbeat: u32) -> Arc<Profile> {
    Arc::new(Profile {
        path: eas::http::PATH.to_owned(),
        versions: vec![eas::ProtocolVersion::V14_1],
        device_type: "easload".to_owned(),
        user_agent: "easload-test".to_owned(),
        query: QueryForm::Plain,
        wait: Wait::Ping,
        ping_body: PingBody::Full,
        nat_timeout: None,
        sleep: None,
        second_ping: 0.0,
        heartbeat: HeartbeatPlan::Fixed(heartbeat),
        grace: Duration::from_secs(5),
        window: 25,
        request_timeout: Duration::from_secs(10),
        retry: Duration::from_millis(100)..=Duration::from_secs(2),
        all_folders: false,
        activity: None,
        negotiate: true,
        cookies: true,
    })
}

/// One thing a raw server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    /// Reads one request, with its body.
    Read,
    Send(Vec<u8>),
    /// One byte at a time with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Closes properly.
    Close,
    /// Closes properly, and tells when that is done.
    CloseAndTell(tokio::sync::mpsc::UnboundedSender<()>),
    /// Closes with a reset.
    Reset,
    /// Reads until the client ends the connection, and reports how: `Ok` for FIN.
    Watch(tokio::sync::mpsc::UnboundedSender<std::io::Result<()>>),
    /// Tells that it has come so far, and goes on when it is told to.
    Wait(tokio::sync::mpsc::UnboundedSender<tokio::sync::oneshot::Sender<()>>),
    /// Keeps the connection open and does nothing.
    Hold,
}

pub(crate) fn text(text: &str) -> Do {
    Do::Send(text.as_bytes().to_vec())
}

/// A server that misbehaves: the n-th connection follows the n-th script, further ones the last.
pub(crate) async fn raw_server(scripts: Vec<Vec<Do>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            let script = scripts
                .get(number)
                .or(scripts.last())
                .cloned()
                .unwrap_or_default();
            tokio::spawn(follow(stream, script));
        }
    });
    address
}

async fn follow(mut stream: TcpStream, script: Vec<Do>) {
    for step in script {
        let done = match step {
            Do::Read => read_request(&mut stream).await,
            Do::Send(bytes) => stream.write_all(&bytes).await,
            Do::Drip(bytes, pause) => drip(&mut stream, &bytes, pause).await,
            Do::Close => return,
            Do::CloseAndTell(closed) => {
                drop(stream);
                let _ = closed.send(());
                return;
            }
            Do::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
            Do::Watch(report) => {
                let mut sink = Vec::new();
                let end = stream.read_to_end(&mut sink).await.map(drop);
                let _ = report.send(end);
                return;
            }
            Do::Wait(report) => {
                let (go_on, told) = tokio::sync::oneshot::channel();
                let _ = report.send(go_on);
                let _ = told.await;
                Ok(())
            }
            Do::Hold => std::future::pending().await,
        };
        if done.is_err() {
            return;
        }
    }
}

async fn drip(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

async fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(head) = text.find("\r\n\r\n") {
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |value| value.trim().parse().unwrap());
            if bytes.len() >= head + 4 + length {
                return Ok(());
            }
        }
    }
}

/// A mock as a program of its own, as a user starts it.
pub(crate) struct MockProgram {
    pub(crate) child: std::process::Child,
    pub(crate) addresses: Addresses,
}

impl MockProgram {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        use std::io::BufRead as _;
        let mut child = std::process::Command::new(program())
            .args([
                "mock",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
            ])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let addresses =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { child, addresses }
    }
}

impl Drop for MockProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does something with each item at the same time, each on a thread of its own: for runs, which wait more than
/// they work.
pub(crate) fn together<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    play: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    std::thread::scope(|scope| {
        let play = &play;
        let spawn = |item| scope.spawn(move || play(item));
        let threads: Vec<_> = items.into_iter().map(spawn).collect();
        let results = threads.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.collect()
    })
}

/// Plays a run again, at most twice, if the machine was too busy to measure anything: what is asserted is what
/// becomes of a run, and not that the machine was idle.
pub(crate) fn undisturbed<T>(mut play: impl FnMut() -> T, report: impl Fn(&T) -> String) -> T {
    for _ in 0..2 {
        let played = play();
        if !report(&played).contains("this machine, and not only the server, was measured") {
            return played;
        }
    }
    play()
}

/// Waits until a condition holds; panics after a minute, which a machine with much else to do may
/// need for what takes milliseconds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < end,
            "not within a minute: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What something takes: up to three times, until it is quicker than a bound. A machine only adds.
pub(crate) async fn quickest(bound: Duration, mut once: impl AsyncFnMut() -> Duration) -> Duration {
    let mut took = once().await;
    for _ in 0..2 {
        if took >= bound {
            took = once().await;
        }
    }
    took
}

/// Processes of this machine with that parent.
#[cfg(target_os = "linux")]
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.split_whitespace()
                .nth(1)
                .and_then(|field| field.parse().ok())
                == Some(parent)
        })
        .collect()
}

#[cfg(target_os = "linux")]
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
