//! TOML → a validated [`Plan`]: every phase and check as data, before anything runs. All mistakes
//! of a file are reported at once. Everything reads the same plan: the printed text, the descriptor
//! check, the engine. Knows no tokio.

mod activity;
mod carrier;
mod detour;
mod devices;
mod entry;
mod file;
mod heartbeat;
mod hold;
mod mail;
mod mock;
pub mod names;
mod needs;
mod network;
mod observe;
mod parse;
mod policy;
mod profile;
mod reader;
mod shown;
mod target;
mod threshold;
mod tls;
mod token;
mod url;
mod users;

use std::path::PathBuf;
use std::time::Duration;

use mock_api::{Fault, MockConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::format_duration;

pub use activity::{Action, ActivityPlan};
pub use carrier::{CarrierPlan, ProxyLoginPlan, ProxyPlan, TransportKind};
pub use detour::Detour;
pub use devices::DevicesPlan;
pub use entry::{Autodiscover, Dns, EntryPlan};
pub use file::{read_config, read_text};
pub use heartbeat::{Fall, HeartbeatPlan, Ladder, MAX_HEARTBEAT};
pub use mail::{CurvePlan, MailDoor, MailPlan};
pub use needs::Needs;
pub use network::{LinkPlan, SleepPlan, SourceRange};
pub use observe::{Format, ObservePlan, Place, RequestsPerPing, SourcePlan};
pub use parse::{ScenarioError, parse, parse_mock};
pub use policy::PolicyPlan;
pub use profile::{PingBody, ProfilePlan, QueryForm, Wait};
pub use reader::split_port;
pub use threshold::{Bound, Figure, Relation, Statistic, Threshold, parse_threshold};
pub use tls::{ClientCertificate, TlsOptions, TlsVersion};
pub use token::{Grant, OauthPlan, TokenPlan};
pub use url::{Target, TargetError, with_query};
pub use users::{UserNames, UserRow, UserRows};

/// The scenario that `easload run` plays without one.
pub const DEFAULT_SCENARIO: (&str, &str) = (
    "recycle-restores-sync.toml",
    include_str!("../../../scenarios/recycle-restores-sync.toml"),
);

/// A run, as data.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Name of the scenario.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Seed of all chances, if the scenario fixes it.
    pub seed: Option<u64>,
    /// What is tested.
    pub target: TargetPlan,
    /// The devices.
    pub devices: DevicesPlan,
    /// The mail, if any.
    pub mail: Option<MailPlan>,
    /// The server's counters, if they can be read.
    pub observe: ObservePlan,
    /// When the pool should recycle by itself, if that is known.
    pub policy: Option<PolicyPlan>,
    /// The phases in order.
    pub phases: Vec<PhasePlan>,
    /// What is judged.
    pub checks: ChecksPlan,
}

/// What is tested.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetPlan {
    /// The bundled mock, started for the run.
    Mock(#[schemars(with = "serde_json::Value")] Box<MockConfig>),
    /// A server, or several over the same mailboxes.
    Server {
        /// Their URLs; devices are dealt out to them in turn. None until Autodiscover has found one.
        urls: Vec<String>,
        /// Trust the authorities in this file instead of the system's.
        ca_file: Option<PathBuf>,
        /// Trust any certificate.
        insecure: bool,
        /// How requests get there.
        #[serde(default)]
        carrier: CarrierPlan,
        /// More about the way in.
        #[serde(default)]
        entry: Box<EntryPlan>,
    },
}

/// Where passwords come from. Never from the scenario itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PasswordSource {
    /// The mock's.
    Mock,
    /// An environment variable.
    Env(String),
    /// A file: one line is everybody's password; several are `user:password`.
    File(PathBuf),
    /// The first line that a shell command prints.
    Command(String),
    /// The column `password` of the users file.
    UsersFile(PathBuf),
}

/// What a phase is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseKind {
    /// Devices start. Not judged.
    Ramp,
    /// How things should be.
    Baseline,
    /// Pings strand, if they do.
    Aging,
    /// Devices give nothing up and nothing is recycled, until every Ping that was given up has passed its heartbeat.
    /// What the server still holds at its end is stranded.
    Hold,
    /// Devices that were away come back; mail that waited for them arrives. Not judged.
    Settle,
    /// The pool is recycled, and the herd returns.
    Recycle,
    /// How things are afterwards.
    Recovered,
}

impl PhaseKind {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 7] = [
        ("ramp", Self::Ramp),
        ("settle", Self::Settle),
        ("baseline", Self::Baseline),
        ("aging", Self::Aging),
        ("hold", Self::Hold),
        ("recycle", Self::Recycle),
        ("recovered", Self::Recovered),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

/// A stretch of a run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PhasePlan {
    /// What it is for.
    pub kind: PhaseKind,
    /// How long it lasts.
    pub duration: Duration,
    /// Which Pings are abandoned.
    pub abandon: Option<AbandonPlan>,
    /// Which devices lose their network when it begins.
    pub flight: Option<FlightPlan>,
    /// Share of abandoned Pings that the mock strands.
    pub strand: f64,
    /// Faults of the mock while it lasts, beside those of the whole run.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub faults: Vec<Fault>,
    /// What recycles the pool when the phase begins.
    pub trigger: Trigger,
}

/// Which Pings are abandoned.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AbandonPlan {
    /// Share of all Pings.
    pub share: f64,
    /// After how long.
    pub after: (Duration, Duration),
    /// How long the device then has no network.
    pub away: (Duration, Duration),
    /// How its connection ends.
    pub how: LossPlan,
}

/// How connections of devices that lose their network end, as weights.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LossPlan {
    /// By FIN.
    pub fin: f64,
    /// By RST.
    pub rst: f64,
    /// In silence.
    pub silence: f64,
}

/// Devices that lose their network all at once, and come back all at once.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FlightPlan {
    /// Share of all devices.
    pub share: f64,
    /// How long, from the start of the phase.
    pub duration: Duration,
    /// How their connections end.
    pub how: LossPlan,
}

/// What recycles the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Nothing.
    None,
    /// The mock's control API.
    Mock,
    /// The server's own policy: only observed.
    Observe,
    /// A person, who is told when.
    Manual,
    /// A shell command.
    Command(String),
    /// A web hook: POST to a URL, with a bearer token from an environment variable if it is named.
    Hook {
        /// Where.
        url: String,
        /// The variable.
        token_env: Option<String>,
    },
}

/// What is judged, and with which bounds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChecksPlan {
    /// Whether the symptom should show.
    pub symptom: Expectation,
    /// Whether a recycle should be seen.
    pub recycle: Expectation,
    /// Whether it must come when the policy says so.
    pub by_policy: bool,
    /// Sync latency (p95) or connect failures must get worse by this factor for the symptom.
    pub symptom_factor: f64,
    /// Latencies count as restored within this factor of the baseline …
    pub tolerance: f64,
    /// … plus this much, which no user notices and a busy machine causes.
    pub slack: Duration,
    /// Share of what was gathered in aging that may remain.
    pub residue: f64,
    /// Latencies must be back within this time after the recycle, if given.
    pub restored_within: Option<Duration>,
    /// The user's own conditions, each a check.
    pub thresholds: Vec<Threshold>,
}

/// What a check should find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It must be there.
    Expected,
    /// It must not be there.
    Absent,
    /// Not asked.
    Any,
}

impl Expectation {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("expected", Self::Expected),
        ("absent", Self::Absent),
        ("any", Self::Any),
    ];
}

impl Plan {
    /// Seconds of pool life in one second of the run: ages, schedule, idle and rapid-fail times.
    /// Devices and TCP always live in real time.
    #[must_use]
    pub fn time_scale(&self) -> f64 {
        match &self.target {
            TargetPlan::Mock(config) => config.time_scale,
            TargetPlan::Server { .. } => 1.0,
        }
    }

    /// Mail domain of the users.
    #[must_use]
    pub fn mail_domain(&self) -> &str {
        let domain = self.mail.as_ref().map(|mail| mail.domain.as_str());
        domain.unwrap_or(mail::DOMAIN)
    }

    /// How long the phases last together.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.phases.iter().map(|phase| phase.duration).sum()
    }

    /// What is allowed, but probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let is_server = matches!(self.target, TargetPlan::Server { .. });
        if is_server
            && self.observe.sources.is_empty()
            && self.checks.symptom == Expectation::Expected
        {
            warnings.push(
                "there is no [[observe.source]]: without the server's Active Requests, `symptom` and `released` \
                 rest on what devices see, and only a hold phase makes that evidence"
                    .to_owned(),
            );
        }
        warnings.extend(self.short_hold());
        warnings.extend(self.late_old_worker());
        let is_left_out =
            |phase: &PhasePlan| phase.kind == PhaseKind::Recycle && phase.trigger == Trigger::None;
        if self.phases.iter().any(is_left_out) && self.checks.recycle == Expectation::Expected {
            warnings.push(
                "nothing recycles the pool in the recycle phase: give it a trigger, or say trigger = \
                 \"observe\" where the server's policy does"
                    .to_owned(),
            );
        }
        let is_ours =
            |phase: &PhasePlan| !matches!(phase.trigger, Trigger::None | Trigger::Observe);
        if self.checks.by_policy && self.phases.iter().any(is_ours) {
            warnings.push(
                "recycle = \"by-policy\" judges the server's own recycles, and a trigger makes another"
                    .to_owned(),
            );
        }
        warnings.extend(self.too_many_devices());
        warnings.extend(self.few_refusals());
        warnings.extend(self.too_many_requests());
        let longest = self.devices.profiles.iter().filter_map(|kind| kind.sleep);
        let longest = longest.map(|sleep| sleep.asleep.1).max();
        if let (Some(asleep), Some(mail)) = (longest, &self.mail)
            && asleep > mail.late_after
        {
            warnings.push(format!(
                "devices sleep up to {} and mail counts as late after {}: what waits for them is late",
                format_duration(asleep),
                format_duration(mail.late_after)
            ));
        }
        let ramp = f64::from(self.devices.count) / self.devices.ramp_per_second;
        let unjudged: f64 = self
            .phases
            .iter()
            .take_while(|phase| matches!(phase.kind, PhaseKind::Ramp | PhaseKind::Settle))
            .map(|phase| phase.duration.as_secs_f64())
            // The sum of no floating-point numbers is -0.
            .fold(0.0, |sum, seconds| sum + seconds);
        if ramp > unjudged + 1.0 {
            warnings.push(format!(
                "the devices take {ramp:.0} s to start and the ramp phase lasts {unjudged:.0} s: \
                 what comes next is measured while they start"
            ));
        }
        warnings
    }

    /// What the guard against lock-outs costs users with many devices.
    fn few_refusals(&self) -> Option<String> {
        let devices = self.devices.count.div_ceil(self.devices.users.max(1));
        let refusals = self.devices.refusals;
        (devices > refusals).then(|| {
            format!(
                "a user has {devices} devices and devices.refusals = {refusals}: when all of them reconnect at the same \
                 moment, they send {refusals} at a time, up to 5 s apart (docs/devices.md, Refused logins)"
            )
        })
    }

    /// What is wrong if a user has more devices than the target lets him have. Their ids are the same
    /// in every run, so they do not gather.
    fn too_many_devices(&self) -> Option<String> {
        /// EasMaxDevices of Exchange 2010's policy; from 2013 on it is 100, more than the devices of one
        /// user that may hold a request at once.
        const OLDEST_DEFAULT: u64 = 10;
        let devices = u64::from(self.devices.count.div_ceil(self.devices.users.max(1)));
        let sends = self
            .mail
            .as_ref()
            .is_some_and(|mail| mail.door == MailDoor::SendMail);
        let (most, whose) = match &self.target {
            TargetPlan::Mock(config) => (config.max_devices as u64, "the mock's max_devices"),
            TargetPlan::Server { .. } => (
                OLDEST_DEFAULT,
                "EasMaxDevices of Exchange 2010 (100 from 2013 on); every other device of these users \
                 counts too",
            ),
        };
        let needed = devices + u64::from(sends);
        (needed > most).then(|| {
            let sender = if sends {
                ", the one that sends included"
            } else {
                ""
            };
            format!(
                "a user has up to {needed} devices{sender}, and more than {most} are refused \
                 (EasMaxDevices, Status 177): {whose}"
            )
        })
    }

    /// What is wrong if a user's devices may have more requests open at once than the target lets him
    /// have: each holds one, and some send another beside it.
    fn too_many_requests(&self) -> Option<String> {
        /// EasMaxConcurrency of Exchange's default throttling policy.
        const DEFAULT: u64 = 10;
        let most = match &self.target {
            TargetPlan::Mock(config) => config.max_concurrency as u64,
            TargetPlan::Server { .. } => DEFAULT,
        };
        let devices = u64::from(self.devices.count.div_ceil(self.devices.users.max(1)));
        let kinds = &self.devices.profiles;
        let beside = kinds
            .iter()
            .any(|kind| kind.second_ping > 0.0 || kind.activity.is_some());
        let sends = self
            .mail
            .as_ref()
            .is_some_and(|mail| mail.door == MailDoor::SendMail);
        let needed = devices * if beside { 2 } else { 1 } + u64::from(sends);
        (needed > most).then(|| {
            format!(
                "a user's devices may have {needed} requests open at once, those beside held Pings and \
                 the sender's included, and more than {most} are refused (EasMaxConcurrency)"
            )
        })
    }

    /// The phase that is played so many seconds after the start.
    #[must_use]
    pub fn phase_at(&self, t: f64) -> Option<&PhasePlan> {
        let mut end = 0.0;
        self.phases.iter().find(|phase| {
            end += phase.duration.as_secs_f64();
            t < end
        })
    }

    /// The first phase of a kind.
    #[must_use]
    pub fn phase(&self, kind: PhaseKind) -> Option<&PhasePlan> {
        self.phases.iter().find(|phase| phase.kind == kind)
    }
}
