//! The rules of the lint: what each looks for, and where the reason stands.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name, in output and in `--allow`.
    pub id: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    /// Where the reason stands.
    pub source: &'static str,
}

/// KB 4337638, merged with 4456227.
const KB: &str = "https://learn.microsoft.com/exchange/troubleshoot/client-connectivity/activesync-clients-not-connect-sync-delay";
const RECYCLING: &str = "https://learn.microsoft.com/iis/configuration/system.applicationhost/applicationpools/add/recycling/";
const PERIODIC: &str = "https://learn.microsoft.com/iis/configuration/system.applicationhost/applicationpools/add/recycling/periodicrestart/";
const PROCESS: &str = "https://learn.microsoft.com/iis/configuration/system.applicationhost/applicationpools/add/processmodel";
const FAILURE: &str = "https://learn.microsoft.com/iis/configuration/system.applicationhost/applicationpools/add/failure";
const POOL: &str =
    "https://learn.microsoft.com/iis/configuration/system.applicationhost/applicationpools/add/";
const HEALTH_CHECKER: &str = "https://microsoft.github.io/CSS-Exchange/Diagnostics/HealthChecker/";

/// All rules.
pub const RULES: &[Rule] = &[
    Rule {
        id: "invalid",
        about: "A setting that IIS refuses: the file cannot be read.",
        source: POOL,
    },
    Rule {
        id: "config-source",
        about: "Settings are in another file, where IIS does not allow it.",
        source: RECYCLING,
    },
    Rule {
        id: "unknown-setting",
        about: "IIS does not have an attribute or an element at its place.",
        source: POOL,
    },
    Rule {
        id: "schedule-seconds",
        about: "A schedule has times of whole minutes.",
        source: PERIODIC,
    },
    Rule {
        id: "no-recycle",
        about: "Nothing recycles the pool, so stranded Pings gather until somebody does.",
        source: KB,
    },
    Rule {
        id: "interval-long",
        about: "The interval is of the order of the time in which the symptom appears.",
        source: KB,
    },
    Rule {
        id: "interval-short",
        about: "Recycles come so often that they cost more than what they cure.",
        source: KB,
    },
    Rule {
        id: "interval-drifts",
        about: "An interval that is no whole number of days comes at another time each day.",
        source: PERIODIC,
    },
    Rule {
        id: "interval-follows-start",
        about: "An interval counts from the worker's start, whenever that was.",
        source: PERIODIC,
    },
    Rule {
        id: "two-clocks",
        about: "Interval and schedule are both in force.",
        source: PERIODIC,
    },
    Rule {
        id: "office-hours",
        about: "A recycle falls into office hours.",
        source: PERIODIC,
    },
    Rule {
        id: "clock-change",
        about: "A time of day is one that the change to summer time skips or repeats.",
        source: PERIODIC,
    },
    Rule {
        id: "same-time",
        about: "Several servers recycle at the same time.",
        source: PERIODIC,
    },
    Rule {
        id: "pings-cut",
        about: "Held Pings that have more of their heartbeat left than shutdownTimeLimit are cut.",
        source: PROCESS,
    },
    Rule {
        id: "shutdown-short",
        about: "shutdownTimeLimit is shorter than what requests may properly take.",
        source: PROCESS,
    },
    Rule {
        id: "shutdown-long",
        about: "The old worker keeps what it gathered until shutdownTimeLimit.",
        source: PROCESS,
    },
    Rule {
        id: "startup-short",
        about: "startupTimeLimit may be too short for a cold start.",
        source: PROCESS,
    },
    Rule {
        id: "no-overlap",
        about: "Nobody serves while the old worker shuts down and the new one starts.",
        source: RECYCLING,
    },
    Rule {
        id: "herd",
        about: "More devices come back at once than the queue holds.",
        source: POOL,
    },
    Rule {
        id: "private-memory-unit",
        about: "privateMemory is in kilobytes.",
        source: PERIODIC,
    },
    Rule {
        id: "virtual-memory",
        about: "Virtual memory says nothing of a 64-bit .NET process.",
        source: PERIODIC,
    },
    Rule {
        id: "requests-limit",
        about: "A limit of requests follows the load, not what strands.",
        source: PERIODIC,
    },
    Rule {
        id: "health-checker",
        about: "Microsoft's HealthChecker calls any periodic recycle of this pool an error.",
        source: HEALTH_CHECKER,
    },
    Rule {
        id: "fixed",
        about: "This Exchange version has the fix.",
        source: KB,
    },
    Rule {
        id: "not-logged",
        about: "A recycle of this reason leaves no event.",
        source: RECYCLING,
    },
    Rule {
        id: "config-change",
        about: "Changes of the configuration recycle the pool.",
        source: RECYCLING,
    },
    Rule {
        id: "rapid-fail",
        about: "Repeated crashes stop the pool for good.",
        source: FAILURE,
    },
    Rule {
        id: "idle-timeout",
        about: "The worker ends when it is idle.",
        source: PROCESS,
    },
    Rule {
        id: "health-ping",
        about: "A worker in a long garbage collection misses IIS's health ping and is killed.",
        source: PROCESS,
    },
    Rule {
        id: "web-garden",
        about: "Several workers share the pool's devices.",
        source: PROCESS,
    },
    Rule {
        id: "tcp-level",
        about: "Refused clients see a closed connection instead of 503.",
        source: FAILURE,
    },
];

impl Rule {
    /// The rule of that name.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id == id)
    }
}
