//! Which elements and attributes are read, where they lead, and which others IIS has.

use crate::settings::{IdleTimeoutAction, LoadBalancerCapabilities, PoolSettings, StartMode};
use crate::values::{ValueError, boolean, choice, integer, minutes, reasons, time_span};

/// An element that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    /// `<add>` of a pool, and `<applicationPoolDefaults>`.
    Pool,
    ProcessModel,
    Recycling,
    PeriodicRestart,
    Schedule,
    Failure,
}

use Element::{Failure, PeriodicRestart, Pool, ProcessModel, Recycling, Schedule};

impl Element {
    /// The elements in this one that are read.
    pub(crate) fn children(self) -> &'static [(&'static str, Element)] {
        match self {
            Pool => &[
                ("processModel", ProcessModel),
                ("recycling", Recycling),
                ("failure", Failure),
            ],
            Recycling => &[("periodicRestart", PeriodicRestart)],
            PeriodicRestart => &[("schedule", Schedule)],
            ProcessModel | Schedule | Failure => &[],
        }
    }

    /// Attributes that IIS has too, lest they be taken for misspelt ones.
    fn others(self) -> &'static [&'static str] {
        match self {
            Pool => &[
                "name",
                "CLRConfigFile",
                "enable32BitAppOnWin64",
                "enableConfigurationOverride",
                "enableEmulationOnWinArm64",
                "managedPipelineMode",
                "managedRuntimeLoader",
                "managedRuntimeVersion",
                "passAnonymousToken",
            ],
            ProcessModel => &[
                "identityType",
                "loadUserProfile",
                "logEventOnProcessModel",
                "logonType",
                "manualGroupMembership",
                "password",
                "requestQueueDelegatorIdentity",
                "setProfileEnvironment",
                "userName",
            ],
            Failure => &[
                "autoShutdownExe",
                "autoShutdownParams",
                "orphanActionExe",
                "orphanActionParams",
                "orphanWorkerProcess",
            ],
            Recycling | PeriodicRestart | Schedule => &[],
        }
    }

    /// Elements that IIS has in this one too, and that are not read.
    fn other_children(self) -> &'static [&'static str] {
        match self {
            Pool => &["cpu", "environmentVariables"],
            ProcessModel | Recycling | PeriodicRestart | Schedule | Failure => &[],
        }
    }

    /// Whether IIS has an element of that name in this one.
    pub(crate) fn has_child(self, name: &str) -> bool {
        self.other_children().contains(&name)
            || self.children().iter().any(|(child, _)| *child == name)
    }

    /// Whether IIS has an attribute of that name here.
    pub(crate) fn has(self, attribute: &str) -> bool {
        self.rule(attribute).is_some()
            || self.others().contains(&attribute)
            || is_anywhere(attribute)
    }

    /// The rule of an attribute.
    pub(crate) fn rule(self, attribute: &str) -> Option<&'static Rule> {
        RULES
            .iter()
            .find(|rule| rule.element == self && rule.attribute == attribute)
    }

    /// The attribute that was meant by one that IIS does not have.
    pub(crate) fn meant(self, attribute: &str) -> Option<&'static str> {
        if self.others().contains(&attribute) {
            return None;
        }
        let known = RULES
            .iter()
            .filter(|rule| rule.element == self)
            .map(|rule| rule.attribute);
        nearest(attribute, known)
    }
}

/// Attributes that IIS has on every element: locks, and the names of namespaces.
pub(crate) fn is_anywhere(attribute: &str) -> bool {
    const LOCKS: [&str; 5] = [
        "lockAllAttributesExcept",
        "lockAllElementsExcept",
        "lockAttributes",
        "lockElements",
        "lockItem",
    ];
    LOCKS.contains(&attribute) || attribute == "xmlns" || attribute.starts_with("xmlns:")
}

/// The candidate that a misspelt name most likely stands for. Letter case does not count: a name
/// that differs in nothing else is a mistake too, because IIS takes it for an unknown one.
pub(crate) fn nearest(
    name: &str,
    candidates: impl IntoIterator<Item = &'static str>,
) -> Option<&'static str> {
    const NEAR: f64 = 0.9;
    /// Twice the longest name of the schema; the comparison takes time and memory with the length.
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&name, &candidate.to_lowercase());
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// Where the value of an attribute leads.
#[derive(Debug)]
pub(crate) struct Rule {
    element: Element,
    attribute: &'static str,
    /// The setting's name in [`crate::Pool::origins`].
    pub(crate) key: &'static str,
    /// Reads a text into its setting.
    pub(crate) set: fn(&mut PoolSettings, &str) -> Result<(), ValueError>,
}

/// The schedule's name in [`crate::Pool::origins`]; it has no attribute of its own.
pub(crate) const SCHEDULE_KEY: &str = "recycling.periodicRestart.schedule";

/// Every attribute that is read.
pub(crate) const RULES: &[Rule] = &[
    rule(Pool, "autoStart", "autoStart", |pool, text| {
        put(&mut pool.auto_start, boolean(text))
    }),
    rule(Pool, "startMode", "startMode", |pool, text| {
        let modes = [
            ("OnDemand", StartMode::OnDemand),
            ("AlwaysRunning", StartMode::AlwaysRunning),
        ];
        put(&mut pool.start_mode, choice(text, &modes))
    }),
    rule(Pool, "queueLength", "queueLength", |pool, text| {
        put(&mut pool.queue_length, integer(text, 10..=65_535))
    }),
    rule(
        Recycling,
        "disallowOverlappingRotation",
        "recycling.disallowOverlappingRotation",
        |pool, text| {
            let target = &mut pool.recycling.disallow_overlapping_rotation;
            put(target, boolean(text))
        },
    ),
    rule(
        Recycling,
        "disallowRotationOnConfigChange",
        "recycling.disallowRotationOnConfigChange",
        |pool, text| {
            let target = &mut pool.recycling.disallow_rotation_on_config_change;
            put(target, boolean(text))
        },
    ),
    rule(
        Recycling,
        "logEventOnRecycle",
        "recycling.logEventOnRecycle",
        |pool, text| put(&mut pool.recycling.log_event_on_recycle, reasons(text)),
    ),
    rule(
        PeriodicRestart,
        "time",
        "recycling.periodicRestart.time",
        |pool, text| put(&mut pool.recycling.time, minutes(text)),
    ),
    rule(
        PeriodicRestart,
        "requests",
        "recycling.periodicRestart.requests",
        |pool, text| put(&mut pool.recycling.requests, uint(text)),
    ),
    rule(
        PeriodicRestart,
        "memory",
        "recycling.periodicRestart.memory",
        |pool, text| put(&mut pool.recycling.memory_kb, uint(text)),
    ),
    rule(
        PeriodicRestart,
        "privateMemory",
        "recycling.periodicRestart.privateMemory",
        |pool, text| put(&mut pool.recycling.private_memory_kb, uint(text)),
    ),
    rule(
        ProcessModel,
        "idleTimeout",
        "processModel.idleTimeout",
        |pool, text| put(&mut pool.process_model.idle_timeout, time_span(text)),
    ),
    rule(
        ProcessModel,
        "idleTimeoutAction",
        "processModel.idleTimeoutAction",
        |pool, text| {
            let actions = [
                ("Terminate", IdleTimeoutAction::Terminate),
                ("Suspend", IdleTimeoutAction::Suspend),
            ];
            let target = &mut pool.process_model.idle_timeout_action;
            put(target, choice(text, &actions))
        },
    ),
    rule(
        ProcessModel,
        "maxProcesses",
        "processModel.maxProcesses",
        |pool, text| {
            let target = &mut pool.process_model.max_processes;
            put(target, integer(text, 0..=u32::MAX))
        },
    ),
    rule(
        ProcessModel,
        "pingingEnabled",
        "processModel.pingingEnabled",
        |pool, text| put(&mut pool.process_model.pinging_enabled, boolean(text)),
    ),
    rule(
        ProcessModel,
        "pingInterval",
        "processModel.pingInterval",
        |pool, text| put(&mut pool.process_model.ping_interval, time_span(text)),
    ),
    rule(
        ProcessModel,
        "pingResponseTime",
        "processModel.pingResponseTime",
        |pool, text| put(&mut pool.process_model.ping_response_time, time_span(text)),
    ),
    rule(
        ProcessModel,
        "shutdownTimeLimit",
        "processModel.shutdownTimeLimit",
        |pool, text| put(&mut pool.process_model.shutdown_time_limit, time_span(text)),
    ),
    rule(
        ProcessModel,
        "startupTimeLimit",
        "processModel.startupTimeLimit",
        |pool, text| put(&mut pool.process_model.startup_time_limit, time_span(text)),
    ),
    rule(
        Failure,
        "rapidFailProtection",
        "failure.rapidFailProtection",
        |pool, text| put(&mut pool.failure.rapid_fail_protection, boolean(text)),
    ),
    rule(
        Failure,
        "rapidFailProtectionMaxCrashes",
        "failure.rapidFailProtectionMaxCrashes",
        |pool, text| {
            // Bounds since IIS 7.5.
            let target = &mut pool.failure.rapid_fail_protection_max_crashes;
            put(target, integer(text, 1..=i32::MAX as u32))
        },
    ),
    rule(
        Failure,
        "rapidFailProtectionInterval",
        "failure.rapidFailProtectionInterval",
        |pool, text| {
            let target = &mut pool.failure.rapid_fail_protection_interval;
            put(target, time_span(text))
        },
    ),
    rule(
        Failure,
        "loadBalancerCapabilities",
        "failure.loadBalancerCapabilities",
        |pool, text| {
            let levels = [
                ("HttpLevel", LoadBalancerCapabilities::HttpLevel),
                ("TcpLevel", LoadBalancerCapabilities::TcpLevel),
            ];
            let target = &mut pool.failure.load_balancer_capabilities;
            put(target, choice(text, &levels))
        },
    ),
];

const fn rule(
    element: Element,
    attribute: &'static str,
    key: &'static str,
    set: fn(&mut PoolSettings, &str) -> Result<(), ValueError>,
) -> Rule {
    Rule {
        element,
        attribute,
        key,
        set,
    }
}

fn put<T>(target: &mut T, value: Result<T, ValueError>) -> Result<(), ValueError> {
    *target = value?;
    Ok(())
}

fn uint(text: &str) -> Result<u64, ValueError> {
    integer(text, 0..=u32::MAX).map(u64::from)
}
