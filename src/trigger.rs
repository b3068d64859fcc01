//! Pulling the trigger.

use std::time::Duration;

use client::transport::innermost;
use mock_client::Control;
use scenario::Trigger;
use text::{bare_url, program};

use crate::command;
use crate::terminal::say;

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
    /// The web hook did not take the call.
    #[error("recycle web hook {url}: {problem}")]
    Hook {
        /// Where, without a query.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// The command cannot be run.
    #[error("recycle command `{command} …`: {problem}")]
    Command {
        /// What it runs.
        command: String,
        /// What went wrong.
        problem: String,
    },
}

/// Triggers a recycle; `mock` is the control API of the run's mock.
///
/// # Errors
/// When the mock, the command or the web hook refuses.
pub async fn pull(
    trigger: &Trigger,
    mock: Option<&Control>,
    client: &reqwest::Client,
) -> Result<(), TriggerError> {
    match trigger {
        Trigger::None | Trigger::Observe => Ok(()),
        Trigger::Manual => {
            say(">>> recycle the pool now: Restart-WebAppPool MSExchangeSyncAppPool");
            Ok(())
        }
        Trigger::Hook { url, token_env } => call(url, token_env.as_deref(), client).await,
        Trigger::Mock => {
            let mock = mock.ok_or_else(|| TriggerError::Mock("there is no mock".to_owned()))?;
            let recycled = mock.recycle().await;
            recycled
                .map(drop)
                .map_err(|error| TriggerError::Mock(error.to_string()))
        }
        Trigger::Command(text) => command::run(text, LIMIT, MAX_OUTPUT)
            .await
            .map(drop)
            .map_err(|problem| TriggerError::Command {
                command: program(text).to_owned(),
                problem,
            }),
    }
}

async fn call(
    url: &str,
    token_env: Option<&str>,
    client: &reqwest::Client,
) -> Result<(), TriggerError> {
    let fail = |problem: String| TriggerError::Hook {
        url: bare_url(url),
        problem,
    };
    let mut request = client.post(url).timeout(LIMIT);
    if let Some(name) = token_env {
        let token = std::env::var(name)
            .map_err(|_| fail(format!("the environment variable {name} is not set")))?;
        request = request.bearer_auth(token);
    }
    let answer = request.send().await;
    answer
        .and_then(reqwest::Response::error_for_status)
        .map(drop)
        .map_err(|error| fail(innermost(&error.without_url())))
}
