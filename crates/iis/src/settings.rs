//! The settings and their defaults.

use std::fmt;
use std::time::Duration;

use jiff::civil;
use serde::{Deserialize, Serialize};

/// The pool in which Exchange serves ActiveSync, front end and back end alike.
pub const SYNC_POOL: &str = "MSExchangeSyncAppPool";

/// Effective settings of one application pool. `Default` gives those of the IIS 10 schema, which
/// has none for the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// `name`, as the file spells it.
    pub name: String,
    /// `autoStart`: whether the pool starts with IIS.
    pub auto_start: bool,
    /// `startMode`.
    pub start_mode: StartMode,
    /// `queueLength`: requests that may wait in HTTP.sys, 10 to 65535; further ones are refused.
    pub queue_length: u32,
    /// `<recycling>`.
    pub recycling: Recycling,
    /// `<processModel>`.
    pub process_model: ProcessModel,
    /// `<failure>`.
    pub failure: Failure,
}

/// `<recycling>` with `<periodicRestart>`: when a worker is replaced, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recycling {
    /// `disallowOverlappingRotation`: the new worker starts only after the old one has gone.
    pub disallow_overlapping_rotation: bool,
    /// `disallowRotationOnConfigChange`: a change of the configuration does not recycle.
    pub disallow_rotation_on_config_change: bool,
    /// `logEventOnRecycle`: the reasons that are written to the event log.
    pub log_event_on_recycle: RecycleReasons,
    /// `time`: age at which a worker is recycled; zero: off.
    pub time: Duration,
    /// `requests`: number of requests served at which a worker is recycled; 0: off.
    pub requests: u64,
    /// `memory`: virtual memory in kilobytes at which a worker is recycled; 0: off.
    pub memory_kb: u64,
    /// `privateMemory`: private bytes in kilobytes at which a worker is recycled; 0: off.
    pub private_memory_kb: u64,
    /// `<schedule>`: local times of day, sorted, each once.
    pub schedule: Vec<civil::Time>,
}

/// `<processModel>`: life of a worker, as far as recycling is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessModel {
    /// `idleTimeout`: time without a request after which a worker ends; zero: off.
    pub idle_timeout: Duration,
    /// `idleTimeoutAction`.
    pub idle_timeout_action: IdleTimeoutAction,
    /// `maxProcesses`: workers at a time; 0: one per NUMA node.
    pub max_processes: u32,
    /// `pingingEnabled`: whether workers are asked for a sign of life.
    pub pinging_enabled: bool,
    /// `pingInterval`: time between two health pings.
    pub ping_interval: Duration,
    /// `pingResponseTime`: a worker that has not answered a health ping by then is killed.
    pub ping_response_time: Duration,
    /// `shutdownTimeLimit`: from the start of a recycle until the old worker is killed.
    pub shutdown_time_limit: Duration,
    /// `startupTimeLimit`: a worker that is not ready by then is killed.
    pub startup_time_limit: Duration,
}

/// `<failure>`: what happens when workers crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `rapidFailProtection`: whether repeated crashes stop the pool.
    pub rapid_fail_protection: bool,
    /// `rapidFailProtectionMaxCrashes`: crashes within the interval that stop the pool.
    pub rapid_fail_protection_max_crashes: u32,
    /// `rapidFailProtectionInterval`: time after which crashes are forgotten.
    pub rapid_fail_protection_interval: Duration,
    /// `loadBalancerCapabilities`.
    pub load_balancer_capabilities: LoadBalancerCapabilities,
}

/// `startMode`: when the first worker is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum StartMode {
    /// With the first request.
    #[default]
    OnDemand,
    /// With the pool, and again whenever it has ended.
    AlwaysRunning,
}

/// `idleTimeoutAction`: what happens to an idle worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum IdleTimeoutAction {
    /// It ends.
    #[default]
    Terminate,
    /// It is moved to disk until the next request.
    Suspend,
}

/// `loadBalancerCapabilities`: how requests are refused when no worker can take them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LoadBalancerCapabilities {
    /// With status 503.
    #[default]
    HttpLevel,
    /// By closing the connection.
    TcpLevel,
}

/// Why a worker is recycled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RecycleReason {
    /// The worker has reached the age of `time`.
    Time,
    /// The worker has served `requests` requests.
    Requests,
    /// A time of day of the schedule has come.
    Schedule,
    /// Virtual memory has reached `memory`.
    Memory,
    /// An ISAPI extension has reported itself unhealthy.
    IsapiUnhealthy,
    /// An administrator has asked for it.
    OnDemand,
    /// The configuration has changed.
    ConfigChange,
    /// Private bytes have reached `privateMemory`.
    PrivateMemory,
}

impl RecycleReason {
    /// Every reason, in the order of their bits.
    pub const ALL: [Self; 8] = [
        Self::Time,
        Self::Requests,
        Self::Schedule,
        Self::Memory,
        Self::IsapiUnhealthy,
        Self::OnDemand,
        Self::ConfigChange,
        Self::PrivateMemory,
    ];

    /// The flag's value in `logEventOnRecycle`.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// The flag's name in `logEventOnRecycle`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "Time",
            Self::Requests => "Requests",
            Self::Schedule => "Schedule",
            Self::Memory => "Memory",
            Self::IsapiUnhealthy => "IsapiUnhealthy",
            Self::OnDemand => "OnDemand",
            Self::ConfigChange => "ConfigChange",
            Self::PrivateMemory => "PrivateMemory",
        }
    }

    /// The event that WAS writes to the System log (source Microsoft-Windows-WAS). The numbers of
    /// `OnDemand` and `ConfigChange` follow from the order of the others; no source states them.
    #[must_use]
    pub const fn event_id(self) -> u32 {
        match self {
            Self::Time => 5074,
            Self::Requests => 5075,
            Self::Schedule => 5076,
            Self::Memory => 5077,
            Self::IsapiUnhealthy => 5078,
            Self::OnDemand => 5079,
            Self::ConfigChange => 5080,
            Self::PrivateMemory => 5117,
        }
    }
}

/// A set of [`RecycleReason`]s. Displays as IIS writes it: `Time, Memory`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RecycleReasons(u32);

impl RecycleReasons {
    /// Every reason: the default since IIS 10.
    pub const ALL: Self = Self(u8::MAX as u32);
    /// No reason.
    pub const NONE: Self = Self(0);

    /// Whether the reason is in the set.
    #[must_use]
    pub const fn contains(self, reason: RecycleReason) -> bool {
        self.0 & reason.bit() != 0
    }
}

impl FromIterator<RecycleReason> for RecycleReasons {
    fn from_iter<I: IntoIterator<Item = RecycleReason>>(reasons: I) -> Self {
        Self(reasons.into_iter().fold(0, |bits, next| bits | next.bit()))
    }
}

impl fmt::Display for RecycleReasons {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = RecycleReason::ALL
            .into_iter()
            .filter(|reason| self.contains(*reason))
            .map(RecycleReason::as_str)
            .collect();
        formatter.write_str(&names.join(", "))
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            auto_start: true,
            start_mode: StartMode::OnDemand,
            queue_length: 1000,
            recycling: Recycling::default(),
            process_model: ProcessModel::default(),
            failure: Failure::default(),
        }
    }
}

impl Default for Recycling {
    fn default() -> Self {
        Self {
            disallow_overlapping_rotation: false,
            disallow_rotation_on_config_change: false,
            log_event_on_recycle: RecycleReasons::ALL,
            time: Duration::from_secs(29 * 3600),
            requests: 0,
            memory_kb: 0,
            private_memory_kb: 0,
            schedule: Vec::new(),
        }
    }
}

impl Default for ProcessModel {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(20 * 60),
            idle_timeout_action: IdleTimeoutAction::Terminate,
            max_processes: 1,
            pinging_enabled: true,
            ping_interval: Duration::from_secs(30),
            ping_response_time: Duration::from_secs(90),
            shutdown_time_limit: Duration::from_secs(90),
            startup_time_limit: Duration::from_secs(90),
        }
    }
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            rapid_fail_protection: true,
            rapid_fail_protection_max_crashes: 5,
            rapid_fail_protection_interval: Duration::from_secs(5 * 60),
            load_balancer_capabilities: LoadBalancerCapabilities::HttpLevel,
        }
    }
}

impl PoolSettings {
    /// [`SYNC_POOL`] as Exchange 2016 ships it: nothing recycles it but an administrator or a
    /// change of the configuration. Source: the configuration of a live server, CSS-Exchange.
    #[must_use]
    pub fn exchange_2016() -> Self {
        Self {
            name: SYNC_POOL.to_owned(),
            recycling: Recycling {
                time: Duration::ZERO,
                ..Recycling::default()
            },
            process_model: ProcessModel {
                idle_timeout: Duration::ZERO,
                pinging_enabled: false,
                ..ProcessModel::default()
            },
            failure: Failure {
                rapid_fail_protection: false,
                ..Failure::default()
            },
            ..Self::default()
        }
    }
}
