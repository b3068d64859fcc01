//! Users, passwords and DeviceIds of a run. Passwords stay in memory.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::device::Identity;
use crate::scenario::{PasswordSource, Plan, TargetPlan};

/// Why there are no accounts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The environment variable is not set.
    #[error("the environment variable {0}, named by devices.password_env, is not set")]
    Env(String),
    /// The password file cannot be read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, line by line.
        problem: String,
    },
}

/// The devices, users in turn, so that the first devices belong to different users.
pub(super) fn identities(plan: &Plan) -> Result<Vec<Arc<Identity>>, AccountError> {
    let passwords = Passwords::read(plan)?;
    let devices = &plan.devices;
    let identities = (0..devices.count).map(|device| {
        let user = device % devices.users;
        let user_name = plan.user_name(user);
        let authorization = passwords.authorization(&user_name);
        Arc::new(Identity {
            device,
            user,
            user_name,
            authorization,
            device_id: format!("EASLOAD{device:08}"),
        })
    });
    Ok(identities.collect())
}

/// Senders: the first device of so many users, under DeviceIds of their own, because a device has
/// one request open at a time and theirs is the Ping.
pub(super) fn senders(identities: &[Arc<Identity>], count: u32) -> Vec<Arc<Identity>> {
    let first_of_each = |identity: &&Arc<Identity>| identity.device == identity.user;
    identities
        .iter()
        .filter(first_of_each)
        .take(count as usize)
        .map(|identity| {
            Arc::new(Identity {
                device: identity.device,
                user: identity.user,
                user_name: identity.user_name.clone(),
                authorization: identity.authorization.clone(),
                device_id: format!("EASLOADMAIL{:08}", identity.user),
            })
        })
        .collect()
}

enum Passwords {
    One(String),
    ByUser(HashMap<String, String>),
}

/// Whether there is a password for every user.
///
/// # Errors
/// As when the run starts: the variable or the file is not there, or a user has none.
pub fn check_passwords(plan: &Plan) -> Result<(), AccountError> {
    Passwords::read(plan).map(drop)
}

impl Passwords {
    fn read(plan: &Plan) -> Result<Self, AccountError> {
        match (&plan.devices.password, &plan.target) {
            (PasswordSource::Mock, TargetPlan::Mock(config)) => {
                Ok(Self::One(config.password.clone()))
            }
            (PasswordSource::Mock, TargetPlan::Server { .. }) => Ok(Self::One(String::new())),
            (PasswordSource::Env(name), _) => std::env::var(name)
                .map(Self::One)
                .map_err(|_| AccountError::Env(name.clone())),
            (PasswordSource::File(path), _) => {
                let fail = |problem: String| AccountError::File {
                    path: path.clone(),
                    problem,
                };
                let text =
                    std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
                Self::parse(plan, &text).map_err(fail)
            }
        }
    }

    fn parse(plan: &Plan, text: &str) -> Result<Self, String> {
        let lines: Vec<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim_end_matches('\r')))
            .filter(|(_, line)| !line.is_empty())
            .collect();
        match lines.as_slice() {
            [] => return Err("expected a password, the file is empty".to_owned()),
            [(_, password)] => return Ok(Self::One((*password).to_owned())),
            _ => {}
        }
        let mut by_user = HashMap::new();
        let mut problems = Vec::new();
        for (number, line) in lines {
            match line.split_once(':') {
                Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                    if by_user
                        .insert(user.to_owned(), password.to_owned())
                        .is_some()
                    {
                        problems.push(format!("line {number}: user `{user}` is there twice"));
                    }
                }
                // The line may hold a password, so it is not shown.
                _ => problems.push(format!("line {number}: expected user:password")),
            }
        }
        for user in (0..plan.devices.users).map(|user| plan.user_name(user)) {
            if !by_user.contains_key(&user) {
                problems.push(format!("user `{user}` has no line"));
            }
        }
        if problems.is_empty() {
            Ok(Self::ByUser(by_user))
        } else {
            Err(problems.join("; "))
        }
    }

    fn authorization(&self, user: &str) -> String {
        let password = match self {
            Self::One(password) => password,
            Self::ByUser(by_user) => by_user.get(user).map_or("", String::as_str),
        };
        format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
    }
}
