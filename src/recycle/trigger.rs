//! Pulling the trigger.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::scenario::Trigger;

/// A recycle command that takes longer hangs: PowerShell remoting needs some seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// What is shown of a failed command's output.
const SHOWN: usize = 400;

/// Why the recycle was not triggered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TriggerError {
    /// The mock did not take the call.
    #[error("the mock did not recycle: {0}")]
    Mock(String),
    /// The command cannot be run.
    #[error("recycle command `{command}`: {problem}")]
    Command {
        /// The command.
        command: String,
        /// What went wrong.
        problem: String,
    },
}

/// Triggers a recycle; `control` is the base URL of the mock's control API.
///
/// # Errors
/// When the mock or the command refuses.
pub async fn pull(
    trigger: &Trigger,
    control: Option<&str>,
    client: &reqwest::Client,
) -> Result<(), TriggerError> {
    match trigger {
        Trigger::None | Trigger::Observe => Ok(()),
        Trigger::Mock => {
            let base = control.ok_or_else(|| TriggerError::Mock("there is no mock".to_owned()))?;
            let call = client
                .post(format!("{base}/recycle"))
                .timeout(LIMIT)
                .send()
                .await;
            call.and_then(reqwest::Response::error_for_status)
                .map(drop)
                .map_err(|error| TriggerError::Mock(error.to_string()))
        }
        Trigger::Command(text) => run(text).await,
    }
}

async fn run(text: &str) -> Result<(), TriggerError> {
    let fail = |problem: String| TriggerError::Command {
        command: text.to_owned(),
        problem,
    };
    let (shell, flag) = if cfg!(windows) {
        ("cmd", "/C")
    } else {
        ("sh", "-c")
    };
    let output = Command::new(shell)
        .arg(flag)
        .arg(text)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(LIMIT, output)
        .await
        .map_err(|_| fail(format!("did not end within {} s", LIMIT.as_secs())))?
        .map_err(|error| fail(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said: String = String::from_utf8_lossy(&output.stderr)
        .chars()
        .take(SHOWN)
        .collect();
    Err(fail(format!("{}: {}", output.status, said.trim())))
}
