//! The `[devices]` table: how many, whose, and what kinds of devices they are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PasswordSource;
use super::network::{SourceRange, addresses, source_addresses, tls_versions};
use super::profile::{ProfilePlan, profile};
use super::reader::Section;
use super::token::{Grant, TokenPlan, token};
use super::users::{UserNames, users};
use crate::{TlsOptions, TlsVersion};

/// Defaults, each with its reason.
mod defaults {
    use std::time::Duration;

    /// A server that has not answered by then has stranded the Ping (mock-fidelity A3).
    pub(super) const GRACE: Duration = Duration::from_secs(60);
    /// Phones try again within a second and give a dead server a minute.
    pub(super) const RETRY: (Duration, Duration) =
        (Duration::from_millis(500), Duration::from_secs(60));
    /// Directories commonly lock an account at five bad passwords.
    pub(super) const REFUSALS: u64 = 3;
    /// One wrong password in a list is a slip; where every fifth user is refused the list is wrong,
    /// and the rest would only be brought nearer to their lock-out.
    pub(super) const REFUSED_SHARE: f64 = 0.2;
    /// Devices per second: below the rate at which connection set-up alone costs milliseconds.
    pub(super) const RAMP_RATE: f64 = 100.0;
}

/// Devices per user that Exchange's EasMaxConcurrency lets hold a request.
const MAX_DEVICES_PER_USER: u32 = 10;
/// Kinds of devices; more would be a mistake.
const MAX_PROFILES: usize = 100;
/// The golden ratio's fraction: multiples of it spread over 0 to 1 so evenly that any stretch of
/// devices has the mix of the whole.
const SPREAD: f64 = 0.618_033_988_749_895;

/// The devices.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DevicesPlan {
    /// How many.
    pub count: u32,
    /// Over how many users.
    pub users: u32,
    /// What the users are called.
    pub user_names: UserNames,
    /// Where passwords come from.
    pub password: PasswordSource,
    /// Where Bearer tokens come from, if they are used.
    #[serde(default)]
    pub token: Option<TokenPlan>,
    /// The folder of the users' certificates, if they are used: `NAME.pem`, and `NAME.key` for a key
    /// that is not in it.
    #[serde(default)]
    pub certificate_dir: Option<PathBuf>,
    /// How long past its heartbeat a Ping is overdue.
    pub grace: Duration,
    /// Shortest and longest pause before another attempt.
    pub retry: (Duration, Duration),
    /// How fast they start, per second.
    pub ramp_per_second: f64,
    /// Refusals in a row that stop a user.
    pub refusals: u32,
    /// Share of users that are stopped at which all are.
    pub refused_share: f64,
    /// Addresses of this machine that connections are made from, in turn; whichever the system chooses
    /// if there are none.
    #[serde(default)]
    pub source_addresses: Vec<SourceRange>,
    /// Versions of TLS that they offer; all where there are none.
    #[serde(default)]
    pub tls_versions: Vec<TlsVersion>,
    /// They resume their last TLS session when they connect again.
    #[serde(default = "yes")]
    pub tls_resumption: bool,
    /// The kinds of devices; at least one.
    pub profiles: Vec<ProfilePlan>,
}

/// Runs from before there was a choice resumed sessions.
fn yes() -> bool {
    true
}

impl DevicesPlan {
    /// All addresses that connections are made from.
    #[must_use]
    pub fn sources(&self) -> Vec<IpAddr> {
        addresses(&self.source_addresses)
    }

    /// Whether their users have certificates, in place of passwords.
    #[must_use]
    pub fn show_certificates(&self) -> bool {
        let in_file = matches!(
            self.user_names,
            UserNames::File {
                certificates: true,
                ..
            }
        );
        in_file || self.certificate_dir.is_some()
    }

    /// How they speak TLS with a server whose certificate is judged so.
    #[must_use]
    pub fn tls(&self, ca_file: Option<PathBuf>, insecure: bool) -> TlsOptions {
        TlsOptions {
            ca_file,
            insecure,
            versions: self.tls_versions.clone(),
            full_handshakes: !self.tls_resumption,
        }
    }

    /// What is special of their TLS, in a few words.
    #[must_use]
    pub fn tls_text(&self) -> Option<String> {
        let versions: Vec<String> = self.tls_versions.iter().map(ToString::to_string).collect();
        let offered =
            (!versions.is_empty()).then(|| format!("TLS {} only", versions.join(" and ")));
        let full = (!self.tls_resumption).then(|| "every TLS handshake a full one".to_owned());
        let parts: Vec<String> = offered.into_iter().chain(full).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The profile of a device, by number: the same in every run and however a fleet is split, and
    /// in any stretch of devices about as the weights say.
    #[must_use]
    pub fn profile_of(&self, device: u32) -> usize {
        let total: f64 = self.profiles.iter().map(|profile| profile.weight).sum();
        let mut point = ((f64::from(device) + 0.5) * SPREAD).fract() * total;
        let last = self.profiles.len().saturating_sub(1);
        let found = self.profiles.iter().position(|profile| {
            point -= profile.weight;
            point < 0.0
        });
        found.unwrap_or(last)
    }

    /// How many devices have each profile.
    #[must_use]
    pub fn mix(&self) -> Vec<u32> {
        let mut mix = vec![0; self.profiles.len()];
        for device in 0..self.count {
            mix[self.profile_of(device)] += 1;
        }
        mix
    }

    /// The kinds of devices in a line each: how many, which versions, how they wait.
    #[must_use]
    pub fn profile_texts(&self) -> Vec<String> {
        let mixed = self.profiles.iter().zip(self.mix());
        mixed
            .map(|(profile, count)| format!("{} × {count}: {}", profile.name, profile.text()))
            .collect()
    }
}

pub(super) fn devices(section: Section<'_>, is_mock: bool, folder: &Path) -> Option<DevicesPlan> {
    let count = section.required("count", section.integer("count", 1..=1_000_000), "500");
    let names = users(&section, is_mock, folder);
    let token = token(&section, folder);
    let certificate_dir = section.path("certificate_dir", folder);
    let others = [
        "token_command",
        "token_file",
        "oauth",
        "password_env",
        "password_file",
        "password_command",
    ];
    let in_file = matches!(
        names,
        Some((
            UserNames::File {
                certificates: true,
                ..
            },
            _
        ))
    );
    if certificate_dir.is_some() && in_file {
        section.problem(
            "certificate_dir",
            "the users file has a certificate column; name one of both",
        );
    }
    let shows_certificates = certificate_dir.is_some() || in_file;
    if shows_certificates && others.iter().any(|key| section.has(key)) {
        let key = if in_file {
            "users_file"
        } else {
            "certificate_dir"
        };
        section.problem(
            key,
            "devices that show a certificate send neither password nor token; name one of them",
        );
    }
    let needs_password = !is_mock
        && !shows_certificates
        && match &token {
            // Of a broken table it is not known.
            None => !section.has("oauth"),
            Some(TokenPlan::Oauth(oauth)) => oauth.grant == Grant::Password,
            Some(_) => false,
        };
    let password = password(&section, needs_password, names.as_ref(), folder);
    let users = match (section.integer("users", 1..=1_000_000), &names) {
        (Some(users), Some((_, Some(known)))) if users > u64::from(*known) => {
            section.problem(
                "users",
                format!("expected at most {known}: no more are named"),
            );
            Some(users)
        }
        (Some(users), _) => Some(users),
        (None, Some((_, Some(known)))) => Some(u64::from(*known)),
        (None, _) => count,
    };
    let ramp_per_second = ramp(&section, count);
    if let (Some(count), Some(users)) = (count, users)
        && count > users.saturating_mul(MAX_DEVICES_PER_USER.into())
    {
        section.problem(
            "users",
            format!(
                "{count} devices over {users} users are more than {MAX_DEVICES_PER_USER} each, and \
                 Exchange (EasMaxConcurrency) lets a user hold no more; expected at least {} users",
                count.div_ceil(MAX_DEVICES_PER_USER.into())
            ),
        );
    }
    let common = profile(&section, None);
    let mut profiles: Vec<ProfilePlan> = section
        .sections("profile")
        .into_iter()
        .map(|own| {
            let weight = own.number("weight", 0.000_001..=1e6).unwrap_or(1.0);
            let name = own.required("name", own.text("name"), "\"iphone\"");
            let plan = ProfilePlan {
                name: name.unwrap_or_default(),
                weight,
                ..profile(&own, Some(&common))
            };
            own.finish();
            plan
        })
        .collect();
    if profiles.len() > MAX_PROFILES {
        section.problem(
            "profile",
            format!("expected at most {MAX_PROFILES} profiles"),
        );
    }
    for (index, one) in profiles.iter().enumerate() {
        if profiles[..index].iter().any(|other| other.name == one.name) && !one.name.is_empty() {
            section.problem("profile", format!("`{}` is there twice", one.name));
        }
    }
    if profiles.is_empty() {
        profiles.push(common);
    }
    let plan = DevicesPlan {
        count: count.unwrap_or(1) as u32,
        users: users.unwrap_or(1).min(count.unwrap_or(1)) as u32,
        user_names: names
            .as_ref()
            .map_or_else(UserNames::default, |(names, _)| names.clone()),
        password: password.clone().unwrap_or(PasswordSource::Mock),
        token,
        certificate_dir,
        grace: section.duration("grace").unwrap_or(defaults::GRACE),
        retry: section.durations("retry").unwrap_or(defaults::RETRY),
        ramp_per_second,
        refusals: section
            .integer("refusals", 1..=1000)
            .unwrap_or(defaults::REFUSALS) as u32,
        refused_share: section
            .number("refused_share", 0.0..=1.0)
            .unwrap_or(defaults::REFUSED_SHARE),
        source_addresses: source_addresses(&section),
        tls_versions: tls_versions(&section),
        tls_resumption: section.flag("tls_resumption").unwrap_or(true),
        profiles,
    };
    section.finish();
    (count.is_some() && password.is_some() && names.is_some()).then_some(plan)
}

/// Where passwords come from; a users file has its own.
fn password(
    section: &Section<'_>,
    is_needed: bool,
    names: Option<&(UserNames, Option<u32>)>,
    folder: &Path,
) -> Option<PasswordSource> {
    const KEYS: [&str; 3] = ["password_env", "password_file", "password_command"];
    let mut named = KEYS
        .into_iter()
        .filter_map(|key| Some((key, section.text(key)?)));
    let first = named.next();
    if let Some((second, _)) = named.next() {
        section.problem(second, format!("name one of {}", KEYS.join(", ")));
    }
    if let Some((
        UserNames::File {
            passwords, path, ..
        },
        _,
    )) = names
        && (*passwords || first.is_none())
    {
        if let (true, Some((key, _))) = (*passwords, &first) {
            section.problem(
                key,
                "the users file has a password column; name one of both",
            );
        }
        if *passwords {
            return Some(PasswordSource::UsersFile(path.clone()));
        }
    }
    match first {
        Some(("password_env", name)) => Some(PasswordSource::Env(name)),
        Some(("password_file", path)) => Some(PasswordSource::File(folder.join(path))),
        Some((_, command)) => Some(PasswordSource::Command(command)),
        None if !is_needed => Some(PasswordSource::Mock),
        // The users are not known, and with them not whether they bring passwords.
        None if names.is_none() => None,
        None => section.required("password_env", None, "\"EASLOAD_PASSWORD\""),
    }
}

fn ramp(section: &Section<'_>, count: Option<u64>) -> f64 {
    let (time, rate) = (
        section.duration("ramp"),
        section.number("ramp_rate", 0.01..=1e6),
    );
    match (time, rate, count) {
        (Some(_), Some(_), _) => {
            section.problem(
                "ramp_rate",
                "name either ramp (a time) or ramp_rate (devices per second)",
            );
            defaults::RAMP_RATE
        }
        (Some(time), None, Some(count)) => count as f64 / time.as_secs_f64().max(1e-3),
        (_, Some(rate), _) => rate,
        _ => defaults::RAMP_RATE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_of_devices_has_the_mix_of_the_whole() {
        let profile = |name: &str, weight| ProfilePlan {
            name: name.to_owned(),
            weight,
            ..ProfilePlan::default()
        };
        let plan = DevicesPlan {
            count: 10_000,
            users: 10_000,
            user_names: UserNames::default(),
            password: PasswordSource::Mock,
            token: None,
            certificate_dir: None,
            grace: Duration::ZERO,
            retry: (Duration::ZERO, Duration::ZERO),
            ramp_per_second: 1.0,
            refusals: 1,
            refused_share: 1.0,
            source_addresses: Vec::new(),
            tls_versions: Vec::new(),
            tls_resumption: true,
            profiles: vec![profile("a", 6.0), profile("b", 3.0), profile("c", 1.0)],
        };
        for start in [0, 1, 777, 9_900] {
            let mut seen = [0; 3];
            for device in start..start + 100 {
                seen[plan.profile_of(device)] += 1;
            }
            for (seen, wanted) in seen.into_iter().zip([60_i32, 30, 10]) {
                assert!(
                    (seen - wanted).abs() <= 3,
                    "{seen} of {wanted} from {start}"
                );
            }
        }
        assert_eq!(plan.mix().iter().sum::<u32>(), 10_000);
    }
}
