//! Pulling the trigger.

use std::time::Duration;

use crate::command;
use crate::scenario::Trigger;

/// A recycle command that takes longer hangs: PowerShell remoting needs some seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Nobody reads it, but a command that prints for ever is to be noticed.
const MAX_OUTPUT: usize = 1 << 20;

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
        Trigger::Command(text) => command::run(text, LIMIT, MAX_OUTPUT)
            .await
            .map(drop)
            .map_err(|problem| TriggerError::Command {
                command: text.clone(),
                problem,
            }),
    }
}
