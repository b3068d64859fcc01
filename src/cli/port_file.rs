//! The file that says where a mock is reached, for whoever started it in the background.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::Args;
use tokio::io::AsyncReadExt as _;

use super::Exit;

/// The addresses in a file. It appears when the mock serves, whole, and disappears with the mock. A guard,
/// which is a process of its own, removes the file of a mock that was killed.
pub(super) struct PortFile {
    path: PathBuf,
    line: String,
    guard: Child,
}

impl PortFile {
    pub(super) fn write(path: &Path, line: &str) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        let line = format!("{line}\n");
        std::fs::write(&draft, &line).map_err(fail)?;
        // The guard must be there before the file is: from then on the mock may be killed.
        let guard = start_guard(path, &line).map_err(|error| {
            let _ = std::fs::remove_file(&draft);
            format!("cannot watch {}: {error}", path.display())
        })?;
        let file = Self {
            path: path.to_owned(),
            line,
            guard,
        };
        std::fs::rename(&draft, path).map_err(fail)?;
        Ok(file)
    }
}

impl Drop for PortFile {
    fn drop(&mut self) {
        remove(&self.path, &self.line);
        // Its input ends, and it with it.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Removes the file, unless somebody has removed it or put another mock's in its place.
fn remove(path: &Path, line: &str) {
    if std::fs::read_to_string(path).is_ok_and(|found| found == line) {
        let _ = std::fs::remove_file(path);
    }
}

/// Starts a process that waits for the end of its input, which is the end of this process.
fn start_guard(path: &Path, line: &str) -> std::io::Result<Child> {
    let mut guard = Command::new(std::env::current_exe()?)
        .arg("mock-port-file")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(input) = &mut guard.stdin {
        input.write_all(line.as_bytes())?;
    }
    Ok(guard)
}

#[derive(Debug, Args)]
pub(super) struct GuardArguments {
    /// The file.
    path: PathBuf,
}

/// The guard: its input is the line in the file, and ends when the mock does.
pub(super) async fn guard(arguments: &GuardArguments) -> Exit {
    // Signals of a terminal are for the mock, which removes the file itself and ends this input.
    #[cfg(unix)]
    tokio::spawn(ignore_terminal());
    let mut line = String::new();
    if tokio::io::stdin().read_to_string(&mut line).await.is_ok() {
        remove(&arguments.path, &line);
    }
    Exit::Passed
}

#[cfg(unix)]
async fn ignore_terminal() {
    use tokio::signal::unix::{SignalKind, signal};
    // Without a handler the signal ends the guard, and the mock removes its file all the same.
    let (Ok(mut hang_up), Ok(mut interrupt)) = (
        signal(SignalKind::hangup()),
        signal(SignalKind::interrupt()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
