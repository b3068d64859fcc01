//! The files that `easload mock` writes and watches.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::fixtures::{children, eventually, is_alive, program};

/// Longest wait for a line and for the end of a mock.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mock that is ended with the test.
struct Mock(Child);

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Mock {
    fn start(command: &mut Command, arguments: &[&str]) -> Self {
        command
            .args(["mock", "--listen", "127.0.0.1:0"])
            .args(["--control", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// How the mock ended.
    async fn ended(&mut self) -> ExitStatus {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(tokio::time::Instant::now() < end, "the mock does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The lines of standard error as they come.
    fn errors(&mut self) -> Receiver<String> {
        let stderr = self.0.stderr.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        lines
    }
}

async fn written(path: &Path) -> mock_server::Addresses {
    eventually("the port file", || async {
        std::fs::read_to_string(path).is_ok_and(|text| text.starts_with('{'))
    })
    .await;
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn a_port_file_disappears_however_the_mock_ends() {
    for signal in ["-TERM", "-HUP", "-INT", "-KILL"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mock.json");
        let arguments = ["--port-file", path.to_str().unwrap()];
        // Where the tests themselves run under nohup, a child would ignore SIGHUP, too.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP").arg(program());
        let mut mock = Mock::start(&mut command, &arguments);
        let addresses = written(&path).await;
        assert_eq!(addresses.pid, mock.0.id());
        let processes = children(mock.0.id());
        mock.signal(signal);
        let status = mock.ended().await;
        assert_eq!(status.success(), signal != "-KILL", "{signal}: {status}");
        eventually("the file and the mock's processes are gone", || async {
            !path.exists() && !processes.iter().any(|pid| is_alive(*pid))
        })
        .await;
        let left = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "{signal}");
    }
}

#[tokio::test]
async fn the_port_file_of_another_mock_stays() {
    for signal in ["-TERM", "-KILL"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mock.json");
        let arguments = ["--port-file", path.to_str().unwrap()];
        let mut mock = Mock::start(&mut Command::new(program()), &arguments);
        written(&path).await;
        let processes = children(mock.0.id());
        std::fs::write(&path, "another").unwrap();
        mock.signal(signal);
        mock.ended().await;
        eventually("the mock's processes are gone", || async {
            !processes.iter().any(|pid| is_alive(*pid))
        })
        .await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "another");
    }
}

/// A program that nohup starts ignores the signal.
#[tokio::test]
async fn a_mock_under_nohup_survives_the_end_of_its_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.json");
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]);
    let arguments = ["--port-file", path.to_str().unwrap()];
    let mut mock = Mock::start(shell.arg(program()), &arguments);
    let addresses = written(&path).await;
    mock.signal("-HUP");
    let client = mock_client::plain_http().build().unwrap();
    let health = client.get(format!("{}/health", addresses.control)).send();
    assert_eq!(health.await.unwrap().status(), 200);
    mock.signal("-TERM");
    assert!(mock.ended().await.success());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_deleted_pool_config_is_reported_once_and_again_when_it_is_back() {
    const SHIPPED: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/iis/tests/data/exchange2016-applicationHost.config"
    );
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("applicationHost.config");
    let port_file = folder.path().join("mock.json");
    std::fs::copy(SHIPPED, &config).unwrap();
    let mut mock = Mock::start(
        &mut Command::new(program()),
        &[
            "--pool-config",
            config.to_str().unwrap(),
            "--port-file",
            port_file.to_str().unwrap(),
        ],
    );
    let lines = mock.errors();
    written(&port_file).await;
    let path = config.display();
    for _ in 0..2 {
        std::fs::remove_file(&config).unwrap();
        let gone = lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(
            gone,
            format!(
                "mock server 1: {path}: No such file or directory (os error 2); the pool keeps its \
                 settings until the file is back"
            )
        );
        // Further looks at the absent file, which take place every half second, say nothing.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(lines.try_recv().is_err());
        std::fs::copy(SHIPPED, &config).unwrap();
        let back = lines.recv_timeout(PATIENCE).unwrap();
        assert_eq!(back, format!("mock server 1: {path}: the file is back"));
    }
}
