//! Users, passwords and DeviceIds of a run. Passwords stay in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use client::device::{Authorization, Identity, Profile};
use client::transport::check_certificate;
use scenario::{
    ClientCertificate, PasswordSource, Plan, TargetPlan, UserNames, UserRows, read_text,
};

use super::account_error::AccountError;
use super::proxy::proxy;
use super::tokens;
use crate::command;

/// The devices, users in turn, so that the first devices belong to different users.
pub(super) async fn identities(plan: &Plan) -> Result<Vec<Arc<Identity>>, AccountError> {
    let users = user_names(plan)?;
    let passwords = match &plan.devices.password {
        PasswordSource::Command(line) => Passwords::ask(line).await?,
        _ => Passwords::read(plan, &users)?,
    };
    let authorizations = match &plan.devices.token {
        Some(token) => {
            let password = |user: &str| passwords.of(user).to_owned();
            tokens::authorizations(plan, token, &users, password)?
        }
        None if plan.devices.show_certificates() => {
            vec![Authorization::Certificate; users.len()]
        }
        None => {
            let headers = users.iter().map(|user| passwords.authorization(user));
            headers.map(Authorization::from).collect()
        }
    };
    let identities = (0..plan.devices.count).map(|device| {
        let user = device % plan.devices.users;
        Arc::new(Identity {
            device,
            user,
            user_name: users[user as usize].clone(),
            authorization: authorizations[user as usize].clone(),
            device_id: format!("EASLOAD{device:08}"),
        })
    });
    Ok(identities.collect())
}

fn user_names(plan: &Plan) -> Result<Vec<String>, AccountError> {
    let devices = &plan.devices;
    let names = devices.user_names.first(devices.users);
    names.map_err(AccountError::Users)
}

/// The first user's name, where it is known.
pub(super) fn first_user(plan: &Plan) -> Option<String> {
    plan.devices.user_names.first(1).ok()?.into_iter().next()
}

/// The certificate of each user, where they have some.
pub(super) fn certificates(plan: &Plan) -> Result<Vec<ClientCertificate>, AccountError> {
    if !plan.devices.show_certificates() {
        return Ok(Vec::new());
    }
    let Some(folder) = &plan.devices.certificate_dir else {
        return certificates_in_file(plan);
    };
    let of_user = |user: String| {
        // The name of a user must not lead out of the folder.
        if user.contains(['/', '\\']) || user.starts_with('.') {
            return Err(AccountError::Users(format!(
                "user `{user}`: its name cannot be the name of a file in {}",
                folder.display()
            )));
        }
        let certificate = folder.join(format!("{user}.pem"));
        let key = folder.join(format!("{user}.key"));
        let key = if key.exists() {
            key
        } else {
            certificate.clone()
        };
        Ok(ClientCertificate { certificate, key })
    };
    user_names(plan)?.into_iter().map(of_user).collect()
}

fn certificates_in_file(plan: &Plan) -> Result<Vec<ClientCertificate>, AccountError> {
    let UserNames::File { path, .. } = &plan.devices.user_names else {
        return Ok(Vec::new());
    };
    let rows = UserRows::read(path).map_err(AccountError::Users)?.rows;
    let users = rows.into_iter().take(plan.devices.users as usize);
    let certificates: Vec<_> = users.filter_map(|row| row.certificate).collect();
    if certificates.len() < plan.devices.users as usize {
        // The plan was read when there was one for each.
        let problem = format!("{}: was changed under the run", path.display());
        return Err(AccountError::Users(problem));
    }
    Ok(certificates)
}

/// Senders: the first device of so many users, under DeviceIds of their own, because a device has
/// one request open at a time and theirs is the Ping.
pub(super) fn senders(
    devices: &[(Arc<Identity>, Arc<Profile>)],
    count: u32,
) -> Vec<(Arc<Identity>, Arc<Profile>)> {
    devices
        .iter()
        .filter(|(identity, _)| identity.device == identity.user)
        .take(count as usize)
        .map(|(identity, profile)| {
            let sender = Identity {
                device: identity.device,
                user: identity.user,
                user_name: identity.user_name.clone(),
                authorization: identity.authorization.clone(),
                device_id: format!("EASLOADMAIL{:08}", identity.user),
            };
            (Arc::new(sender), Arc::clone(profile))
        })
        .collect()
}

enum Passwords {
    One(String),
    ByUser(HashMap<String, String>),
}

/// What a run of that plan would lack of its users' secrets, in words: passwords, tokens, certificates.
/// No command is run for that, and no endpoint asked.
#[must_use]
pub(super) fn missing_secrets(plan: &Plan) -> Vec<String> {
    /// Of certificates; more would only hide what is wrong with all of them.
    const MOST: usize = 10;
    let passwords = user_names(plan).and_then(|users| Passwords::read(plan, &users).map(drop));
    let mut missing: Vec<String> = passwords.err().iter().map(ToString::to_string).collect();
    missing.extend(proxy(plan).err().iter().map(ToString::to_string));
    let token = plan.devices.token.as_ref();
    missing.extend(token.and_then(tokens::missing));
    match certificates(plan) {
        Err(error) => missing.push(error.to_string()),
        Ok(certificates) => {
            let users = user_names(plan).unwrap_or_default();
            let checked = users.iter().zip(&certificates);
            let broken: Vec<String> = checked
                .filter_map(|(user, certificate)| {
                    let error = check_certificate(certificate).err()?;
                    Some(format!("user `{user}`: {error}"))
                })
                .collect();
            missing.extend(broken.iter().take(MOST).cloned());
            if broken.len() > MOST {
                let more = broken.len() - MOST;
                missing.push(format!("{more} more client certificates cannot be used"));
            }
        }
    }
    missing
}

impl Passwords {
    async fn ask(line: &str) -> Result<Self, AccountError> {
        /// A person may have to touch a key or type a phrase elsewhere.
        const LIMIT: Duration = Duration::from_secs(60);
        /// A password, with room for what should not be there.
        const MOST: usize = 64 << 10;
        let fail = |problem: String| AccountError::Command {
            line: line.to_owned(),
            problem,
        };
        let printed = command::run_secret(line, LIMIT, MOST).await.map_err(fail)?;
        let printed = String::from_utf8(printed);
        let printed = printed.map_err(|_| fail("printed what is not UTF-8".to_owned()))?;
        match printed.lines().next() {
            Some(first) if !first.is_empty() => Ok(Self::One(first.to_owned())),
            _ => Err(fail("printed no password in its first line".to_owned())),
        }
    }

    fn read(plan: &Plan, users: &[String]) -> Result<Self, AccountError> {
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
                let text = read_text(path).map_err(|error| fail(error.to_string()))?;
                Self::parse(users, &text).map_err(fail)
            }
            (PasswordSource::Command(_), _) => Ok(Self::One(String::new())),
            (PasswordSource::UsersFile(path), _) => {
                let rows = UserRows::read(path).map_err(AccountError::Users)?.rows;
                let with_password = rows
                    .into_iter()
                    .filter_map(|row| Some((row.user, row.password?)));
                Ok(Self::ByUser(with_password.collect()))
            }
        }
    }

    fn parse(users: &[String], text: &str) -> Result<Self, String> {
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
                        // Of a file of another kind, this may be a password.
                        problems.push(if users.iter().any(|known| known == user) {
                            format!("line {number}: user `{user}` is there twice")
                        } else {
                            format!("line {number}: its user is there twice")
                        });
                    }
                }
                // The line may hold a password, so it is not shown.
                _ => problems.push(format!("line {number}: expected user:password")),
            }
        }
        for user in users {
            if !by_user.contains_key(user) {
                problems.push(format!("user `{user}` has no line"));
            }
        }
        if problems.is_empty() {
            Ok(Self::ByUser(by_user))
        } else {
            Err(problems.join("; "))
        }
    }

    fn of(&self, user: &str) -> &str {
        match self {
            Self::One(password) => password,
            Self::ByUser(by_user) => by_user.get(user).map_or("", String::as_str),
        }
    }

    fn authorization(&self, user: &str) -> String {
        let password = self.of(user);
        format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
    }
}
