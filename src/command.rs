//! Shell commands that the user named in the scenario: for triggers and for sources.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// What is shown of a failed command's output, in characters.
const SHOWN: usize = 400;
/// Bytes of its error output that are read at all.
const MAX_ERRORS: usize = 64 << 10;

/// Runs a command line in the system's shell and gives what it printed.
///
/// # Errors
/// In words: it cannot be started, does not end in time (then it is killed), prints more than
/// `most` bytes, or ends with another code than 0.
pub(crate) async fn run(line: &str, limit: Duration, most: usize) -> Result<Vec<u8>, String> {
    execute(line, limit, most, SHOWN, None).await
}

/// As [`run`], for a command that prints a secret: nothing of its output is in an error.
pub(crate) async fn run_secret(
    line: &str,
    limit: Duration,
    most: usize,
) -> Result<Vec<u8>, String> {
    execute(line, limit, most, 0, None).await
}

/// As [`run_secret`], with a variable in the command's environment, name and value.
pub(crate) async fn run_secret_with(
    line: &str,
    limit: Duration,
    most: usize,
    variable: Option<(&str, &str)>,
) -> Result<Vec<u8>, String> {
    execute(line, limit, most, 0, variable).await
}

async fn execute(
    line: &str,
    limit: Duration,
    most: usize,
    shown: usize,
    variable: Option<(&str, &str)>,
) -> Result<Vec<u8>, String> {
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let mut command = Command::new(shell);
    command
        .arg(flag)
        .arg(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .envs(variable);
    // A pipeline is several processes: they are ended together.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let mut family = Family(child.id());
    let (Some(output), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("its output cannot be read".to_owned());
    };
    let ended = async {
        let (output, errors) = tokio::join!(read(output, most), read(errors, MAX_ERRORS));
        (child.wait().await, output, errors)
    };
    let Ok((status, output, errors)) = timeout(limit, ended).await else {
        return Err(format!("did not end within {} s", limit.as_secs()));
    };
    // Its number may be somebody else's now.
    family.0 = None;
    let status = status.map_err(|error| error.to_string())?;
    if !status.success() {
        let errors = errors.unwrap_or_default();
        let said: String = String::from_utf8_lossy(&errors)
            .chars()
            .take(shown)
            .collect();
        let said = format!("{status}: {}", said.trim());
        return Err(said.trim_end_matches(": ").to_owned());
    }
    output.ok_or_else(|| format!("printed more than {most} bytes"))
}

/// A command's process group, which is killed when nobody waits for it any more.
struct Family(Option<u32>);

impl Drop for Family {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = self
            .0
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Everything up to the end, or `None` if it is too much; the rest is read and dropped, so that the
/// command does not wait for ever to be rid of it.
async fn read(mut stream: impl AsyncRead + Unpin, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8 << 10];
    let mut fits = true;
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if bytes.len() + count > most {
            fits = false;
        } else if fits {
            bytes.extend_from_slice(&buffer[..count]);
        }
    }
    fits.then_some(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn output_failure_size_and_time_are_told_apart() {
        assert_eq!(run("printf 'a 1'", 5 * SECOND, 10).await.unwrap(), b"a 1");
        let failed = run("echo oops >&2; exit 3", 5 * SECOND, 10).await;
        let failed = failed.unwrap_err();
        assert!(failed.contains("3") && failed.contains("oops"), "{failed}");
        let large = run("head -c 200000 /dev/zero", 5 * SECOND, 1000).await;
        assert_eq!(large.unwrap_err(), "printed more than 1000 bytes");
        let slow = run("sleep 60", SECOND, 10).await;
        assert_eq!(slow.unwrap_err(), "did not end within 1 s");
    }

    #[tokio::test]
    async fn a_pipeline_ends_with_its_shell() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = format!("(echo $$ > {}; sleep 600) | cat", file.path().display());
        run(&line, 5 * SECOND, 10).await.unwrap_err();
        // `$$` is the shell's in a subshell too: its group has its number.
        let shell = std::fs::read_to_string(file.path()).unwrap();
        let group = shell
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        for _ in 0..100 {
            if rustix::process::test_kill_process_group(group.unwrap()).is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the pipeline lives on");
    }
}
