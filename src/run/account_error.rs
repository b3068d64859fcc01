//! Why there are no accounts.

use std::path::PathBuf;

/// Why there are no accounts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The environment variable is not set.
    #[error("the environment variable {0}, named by devices.password_env, is not set")]
    Env(String),
    /// The variable of a client's secret is not set.
    #[error("the environment variable {0}, named by devices.oauth.client_secret_env, is not set")]
    Secret(String),
    /// The variable of a proxy's password is not set.
    #[error("the environment variable {0}, named by target.proxy_password_env, is not set")]
    ProxyPassword(String),
    /// The users file is not what it was when the plan was read.
    #[error("{0}")]
    Users(String),
    /// The command gives no password.
    #[error("devices.password_command `{line}`: {problem}")]
    Command {
        /// The command.
        line: String,
        /// What is wrong; never what it printed.
        problem: String,
    },
    /// The password file cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, line by line.
        problem: String,
    },
}
