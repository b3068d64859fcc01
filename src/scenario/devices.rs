//! The `[devices]` table: how many, whose, and what kinds of devices they are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eas::ProtocolVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::activity::{ActivityPlan, activity};
use super::heartbeat::{HeartbeatPlan, heartbeat};
use super::network::{
    LinkPlan, SleepPlan, SourceRange, addresses, link, sleep, source_addresses, tls_versions,
};
use super::reader::Section;
use super::token::{Grant, TokenPlan, token};
use super::users::{UserNames, users};
use super::{PasswordSource, format_duration};
use crate::transport::{TlsOptions, TlsVersion};

/// Defaults, each with its reason.
mod defaults {
    use std::time::Duration;

    /// A server that has not answered by then has stranded the Ping (mock-fidelity A3).
    pub(super) const GRACE: Duration = Duration::from_secs(60);
    /// Phones try again within a second and give a dead server a minute.
    pub(super) const RETRY: (Duration, Duration) =
        (Duration::from_millis(500), Duration::from_secs(60));
    /// WindowSize of common phones.
    pub(super) const WINDOW: u64 = 25;
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

/// A kind of devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfilePlan {
    /// Its name.
    pub name: String,
    /// Its share of the devices is its weight over the sum of all.
    pub weight: f64,
    /// Versions to choose from; the highest that the server lists is taken.
    #[schemars(with = "Vec<String>")]
    #[serde(with = "versions")]
    pub versions: Vec<ProtocolVersion>,
    /// Form of the request's query.
    pub query: QueryForm,
    /// How it waits for changes.
    pub wait: Wait,
    /// How long it asks the server to hold.
    pub heartbeat: HeartbeatPlan,
    /// How much its Pings say.
    pub ping_body: PingBody,
    /// Changes per Sync answer.
    pub window: u16,
    /// Watch all folders instead of the Inbox.
    pub all_folders: bool,
    /// Keep the cookies that the server sets and send them back.
    pub cookies: bool,
    /// The network forgets a connection that says nothing for so long: neither side is told.
    pub nat_timeout: Option<Duration>,
    /// Its own link.
    #[serde(default)]
    pub link: LinkPlan,
    /// It falls asleep now and then.
    #[serde(default)]
    pub sleep: Option<SleepPlan>,
    /// Share of Pings during which it sends another over another connection.
    #[serde(default)]
    pub second_ping: f64,
    /// DeviceType.
    pub device_type: String,
    /// User-Agent; must stay constant, or a server may block the device.
    pub user_agent: String,
    /// What its user does besides, if anything.
    pub activity: Option<ActivityPlan>,
    /// How fast users do what they do, where the kind does not say: only while a file is read.
    #[serde(skip)]
    pub(super) activity_speed: f64,
}

/// Form of a request's query (ASHTTP 2.2.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryForm {
    /// `Cmd=…&User=…`.
    Plain,
    /// One base64 blob, which also holds version and policy key.
    Base64,
}

/// How a device waits for changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// By Ping.
    Ping,
    /// By a Sync that hangs; versions before 12.1 have none, and ping.
    Sync,
}

/// How much a Ping says once the server has cached one (ASCMD 2.2.1.13).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PingBody {
    /// Heartbeat and folders.
    Full,
    /// The heartbeat only.
    Partial,
    /// Only what changed; nothing, mostly.
    Cached,
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
            .map(|(profile, count)| format!("{count} {}: {}", profile.name, profile.text()))
            .collect()
    }
}

impl ProfilePlan {
    /// What is special of it, in one line.
    #[must_use]
    pub fn text(&self) -> String {
        let versions: Vec<&str> = self.versions.iter().map(|one| one.as_str()).collect();
        let mut parts = vec![
            format!("version {}", versions.join(" or ")),
            match self.wait {
                Wait::Ping => "Ping".to_owned(),
                Wait::Sync => "hanging Sync".to_owned(),
            },
            format!("heartbeat {}", self.heartbeat),
        ];
        match self.ping_body {
            PingBody::Full => {}
            PingBody::Partial => parts.push("partial Pings".to_owned()),
            PingBody::Cached => parts.push("cached Pings".to_owned()),
        }
        if self.query == QueryForm::Base64 {
            parts.push("base64 query".to_owned());
        }
        if let Some(timeout) = self.nat_timeout {
            let timeout = format_duration(timeout);
            parts.push(format!("its network forgets it after {timeout}"));
        }
        if self.second_ping > 0.0 {
            let share = self.second_ping * 100.0;
            parts.push(format!("a second Ping during {share} % of them"));
        }
        if self.link.is_there() {
            let (from, to) = self.link.latency;
            let [from, to] = [from, to].map(format_duration);
            let bandwidth = self.link.bandwidth;
            let bandwidth = bandwidth.map_or_else(String::new, |bytes| {
                format!(" and {} kbit a second", bytes * 8 / 1000)
            });
            parts.push(format!("a link of {from} to {to}{bandwidth}"));
        }
        if let Some(sleep) = self.sleep {
            let [awake, asleep] = [sleep.awake, sleep.asleep]
                .map(|(from, to)| format!("{} to {}", format_duration(from), format_duration(to)));
            parts.push(format!("awake for {awake}, then asleep for {asleep}"));
        }
        if self.all_folders {
            parts.push("all folders".to_owned());
        }
        if let Some(activity) = &self.activity {
            parts.push(activity.to_string());
        }
        if !self.cookies {
            parts.push("no cookies".to_owned());
        }
        parts.join(", ")
    }
}

pub(super) fn devices(section: Section<'_>, is_mock: bool, folder: &Path) -> Option<DevicesPlan> {
    let count = section.required("count", section.integer("count", 1..=1_000_000), "500");
    let names = users(&section, is_mock, folder);
    let token = token(&section, folder);
    let certificate_dir = section.text("certificate_dir");
    let certificate_dir = certificate_dir.map(|path| folder.join(path));
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
    let password = password(&section, needs_password, names.as_ref());
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
        Some(("password_file", path)) => Some(PasswordSource::File(path.into())),
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

/// What a device is like, with what the table does not say from `common`.
fn profile(section: &Section<'_>, common: Option<&ProfilePlan>) -> ProfilePlan {
    let standard;
    let common = match common {
        Some(common) => common,
        None => {
            standard = ProfilePlan::default();
            &standard
        }
    };
    let versions = section.texts("versions").map(|texts| {
        if texts.is_empty() {
            section.problem(
                "versions",
                "expected at least one version, for example [\"14.1\"]",
            );
        }
        let mut versions = Vec::new();
        for text in texts {
            match text.parse::<ProtocolVersion>() {
                Ok(version) => versions.push(version),
                Err(error) => section.problem("versions", error.to_string()),
            }
        }
        versions
    });
    let query = [("plain", QueryForm::Plain), ("base64", QueryForm::Base64)];
    let wait = [("ping", Wait::Ping), ("sync", Wait::Sync)];
    let bodies = [
        ("full", PingBody::Full),
        ("partial", PingBody::Partial),
        ("cached", PingBody::Cached),
    ];
    let nat_timeout = section.duration("nat_timeout");
    if nat_timeout.is_some_and(|timeout| timeout.is_zero()) {
        section.problem("nat_timeout", "expected more than 0s");
    }
    let device_type = section.text("device_type");
    if device_type.as_ref().is_some_and(|text| !is_token(text)) {
        section.problem("device_type", "expected 1 to 32 letters and digits");
    }
    let user_agent = section.text("user_agent");
    if let Some(text) = &user_agent
        && (text.is_empty() || text.chars().any(|letter| !(' '..='~').contains(&letter)))
    {
        section.problem("user_agent", "expected visible ASCII: it is an HTTP header");
    }
    let activity_speed = section
        .number("activity_speed", 0.001..=1e6)
        .unwrap_or(common.activity_speed);
    ProfilePlan {
        name: common.name.clone(),
        weight: common.weight,
        versions: versions.unwrap_or_else(|| common.versions.clone()),
        query: section.choice("query", &query).unwrap_or(common.query),
        wait: section.choice("wait", &wait).unwrap_or(common.wait),
        heartbeat: heartbeat(section).unwrap_or_else(|| common.heartbeat.clone()),
        ping_body: section
            .choice("ping_body", &bodies)
            .unwrap_or(common.ping_body),
        window: section
            .integer("window", 1..=512)
            .map_or(common.window, |window| window as u16),
        all_folders: section.flag("all_folders").unwrap_or(common.all_folders),
        cookies: section.flag("cookies").unwrap_or(common.cookies),
        nat_timeout: nat_timeout.or(common.nat_timeout),
        link: link(section, common.link),
        sleep: sleep(section).or(common.sleep),
        second_ping: section
            .number("second_ping", 0.0..=1.0)
            .unwrap_or(common.second_ping),
        device_type: device_type.unwrap_or_else(|| common.device_type.clone()),
        user_agent: user_agent.unwrap_or_else(|| common.user_agent.clone()),
        activity: activity(section, common.activity.as_ref(), activity_speed),
        activity_speed,
    }
}

fn is_token(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Default for ProfilePlan {
    fn default() -> Self {
        Self {
            name: "device".to_owned(),
            weight: 1.0,
            // What both Exchange 2013 and 2016 speak.
            versions: vec![ProtocolVersion::V14_1],
            query: QueryForm::Plain,
            wait: Wait::Ping,
            heartbeat: HeartbeatPlan::default(),
            ping_body: PingBody::Full,
            window: defaults::WINDOW as u16,
            all_folders: false,
            // Phones do, and clients of 16.x must (MS-ASHTTP 2.2.3.1).
            cookies: true,
            nat_timeout: None,
            link: LinkPlan::default(),
            sleep: None,
            second_ping: 0.0,
            device_type: "easload".to_owned(),
            user_agent: concat!("easload/", env!("CARGO_PKG_VERSION")).to_owned(),
            activity: None,
            activity_speed: 1.0,
        }
    }
}

/// Versions as their texts.
mod versions {
    use eas::ProtocolVersion;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        versions: &[ProtocolVersion],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(versions.iter().map(|version| version.as_str()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ProtocolVersion>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| text.parse().map_err(D::Error::custom))
            .collect()
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
