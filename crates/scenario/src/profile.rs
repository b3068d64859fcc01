//! A kind of devices: the keys of `[devices]` that a `[[devices.profile]]` may have too.

use std::time::Duration;

use eas::ProtocolVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

use super::activity::{ActivityPlan, activity};
use super::heartbeat::{HeartbeatPlan, heartbeat};
use super::network::{LinkPlan, SleepPlan, link, sleep};
use super::reader::Section;

/// WindowSize of common phones.
const WINDOW: u64 = 25;

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
    /// Ask the server for its versions (OPTIONS) first; without, the highest of their own is spoken.
    #[serde(default = "yes")]
    pub negotiate: bool,
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

/// Kinds from before there was a choice negotiated.
fn yes() -> bool {
    true
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
        if !self.negotiate {
            parts.push("not negotiated".to_owned());
        }
        if !self.cookies {
            parts.push("no cookies".to_owned());
        }
        parts.join(", ")
    }
}

/// What a device is like, with what the table does not say from `common`.
pub(super) fn profile(section: &Section<'_>, common: Option<&ProfilePlan>) -> ProfilePlan {
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
        negotiate: section.flag("negotiate").unwrap_or(common.negotiate),
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
            window: WINDOW as u16,
            all_folders: false,
            // Phones do, and clients of 16.x must (MS-ASHTTP 2.2.3.1).
            negotiate: true,
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
