//! The fault vocabulary: one flat record per fault, the same words in scenario files, over the
//! control API and in the docs. A fault is active from when it is set until it is reset.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use text::{duration_text, optional_duration_text};
use utoipa::ToSchema;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// An abandoned Ping's front-end request is never completed. `trigger` chooses another moment.
    Strand,
    /// Commands take `delay` longer.
    Latency,
    /// Commands are refused with an HTTP `status`, or with an `eas_status` in the body.
    Error,
    /// Commands get 503, or `status`, with Retry-After of `delay`, as a throttled user does.
    RetryAfter,
    /// Commands get a web page with 200, as from a captive portal.
    WebPage,
    /// A gateway ends a request that has no answer after `delay`: with `status`, or by a reset. The server may go on
    /// with the request.
    IdleTimeout,
    /// The request goes to another server, which shares neither mailboxes nor keys with this one: what devices see
    /// behind a load balancer without affinity.
    NoAffinity,
    /// The connection is reset instead of an answer, also under a held Ping.
    Reset,
    /// Answers arrive `bytes` at a time with `delay` in between.
    Drip,
    /// The connection is closed after `bytes` of the answer, also under a held Ping.
    Truncate,
    /// Bytes that are no HTTP arrive in place of the answer, also under a held Ping.
    Garbage,
    /// Connections are not accepted: they wait in the backlog.
    HangAccept,
    /// Commands get 451 with X-MS-Location `location`, also under a held Ping.
    Redirect,
    /// Every device must provision again. Happens once, when the fault is set.
    Unprovision,
    /// Every mailbox gets a new folder. Happens once.
    HierarchyChange,
    /// Sync keys are forgotten: devices get Status 3. Happens once.
    LoseSyncState,
    /// A worker ends as a crash would. Happens once.
    KillWorker,
    /// The pool is stopped: 503 at once (AppOffline).
    StopPool,
    /// Requests are refused as if the queue were full: HTTP.sys's 503.
    QueueFull,
    /// Mail is accepted and never arrives; `user` is the one it is for. Nothing that Exchange does:
    /// the control of a check that looks for lost mail.
    LoseMail,
}

impl FaultKind {
    /// Every kind, with its name.
    pub const ALL: [(&'static str, Self); 20] = [
        ("strand", Self::Strand),
        ("latency", Self::Latency),
        ("error", Self::Error),
        ("retry-after", Self::RetryAfter),
        ("web-page", Self::WebPage),
        ("idle-timeout", Self::IdleTimeout),
        ("no-affinity", Self::NoAffinity),
        ("reset", Self::Reset),
        ("drip", Self::Drip),
        ("truncate", Self::Truncate),
        ("garbage", Self::Garbage),
        ("hang-accept", Self::HangAccept),
        ("redirect", Self::Redirect),
        ("unprovision", Self::Unprovision),
        ("hierarchy-change", Self::HierarchyChange),
        ("lose-sync-state", Self::LoseSyncState),
        ("kill-worker", Self::KillWorker),
        ("stop-pool", Self::StopPool),
        ("queue-full", Self::QueueFull),
        ("lose-mail", Self::LoseMail),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }

    /// Attributes that mean something with this kind.
    const fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Strand => &["trigger"],
            Self::Latency => &["delay"],
            Self::RetryAfter | Self::IdleTimeout => &["delay", "status"],
            Self::Error => &["status", "eas_status"],
            Self::Drip => &["bytes", "delay"],
            Self::Truncate | Self::Garbage => &["bytes"],
            Self::Redirect => &["location"],
            _ => &[],
        }
    }

    /// Whether it strikes single requests, so that scope, probability and stable period apply.
    const fn is_per_request(self) -> bool {
        !matches!(
            self,
            Self::HangAccept
                | Self::Unprovision
                | Self::HierarchyChange
                | Self::LoseSyncState
                | Self::KillWorker
                | Self::StopPool
        )
    }
}

/// When a Ping strands (mock-fidelity S11). No source says what the trigger is on Exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StrandTrigger {
    /// The client gives the held Ping up, by FIN or reset.
    Abandon,
    /// The client's network is cut: only a reset counts.
    NetworkCut,
    /// At random when the Ping arrives: its device hears nothing again.
    Random,
    /// The mailbox database moves (`POST /store-failover`) while the Ping is held.
    StoreFailover,
}

impl StrandTrigger {
    /// Every trigger, with its name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("abandon", Self::Abandon),
        ("network-cut", Self::NetworkCut),
        ("random", Self::Random),
        ("store-failover", Self::StoreFailover),
    ];
}

/// One fault. Attributes that its kind does not know are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub fault: FaultKind,
    /// Only for this user.
    #[serde(default)]
    pub user: Option<String>,
    /// Only for this device id.
    #[serde(default)]
    pub device: Option<String>,
    /// Only for this command, for example `Ping`; `OPTIONS` counts as one.
    #[serde(default)]
    pub command: Option<String>,
    /// Share of the requests in scope that it strikes, 0 to 1.
    #[serde(default = "always")]
    #[schema(minimum = 0, maximum = 1)]
    pub probability: f64,
    /// The fault strikes the same device again after this time at the earliest.
    #[serde(default, with = "duration_text")]
    #[schema(value_type = String, example = "30s")]
    pub stable: Duration,
    /// How long: see the kind.
    #[serde(default, with = "optional_duration_text")]
    #[schema(value_type = Option<String>, example = "250ms")]
    pub delay: Option<Duration>,
    /// HTTP status, 300 to 599.
    #[serde(default)]
    pub status: Option<u16>,
    /// EAS Status of the answer (ASCMD 2.2.2).
    #[serde(default)]
    pub eas_status: Option<u16>,
    /// How many bytes.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// A URL.
    #[serde(default)]
    pub location: Option<String>,
    /// When a Ping strands; when it is abandoned if absent.
    #[serde(default)]
    pub trigger: Option<StrandTrigger>,
}

const fn always() -> f64 {
    1.0
}

impl Fault {
    /// A fault of that kind with nothing else set: always, for everybody.
    #[must_use]
    pub const fn new(fault: FaultKind) -> Self {
        Self {
            fault,
            user: None,
            device: None,
            command: None,
            probability: 1.0,
            stable: Duration::ZERO,
            delay: None,
            status: None,
            eas_status: None,
            bytes: None,
            location: None,
            trigger: None,
        }
    }

    /// Strands that share of the Pings that are abandoned.
    #[must_use]
    pub fn strand(probability: f64) -> Self {
        Self {
            probability,
            ..Self::new(FaultKind::Strand)
        }
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let name = self.fault.as_str();
        if !(0.0..=1.0).contains(&self.probability) {
            return Some(format!(
                "{name}: `probability` must be between 0 and 1, found {}",
                self.probability
            ));
        }
        let texts = [&self.user, &self.device, &self.command, &self.location];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > MAX_TEXT)
        {
            return Some(format!(
                "{name}: expected texts of at most {MAX_TEXT} bytes"
            ));
        }
        // A location travels without them; nobody has such a name.
        let scope = [&self.user, &self.device, &self.command];
        let is_control = |text: &String| text.contains(char::is_control);
        if scope.into_iter().flatten().any(is_control) {
            return Some(format!(
                "{name}: expected user, device and command without control characters"
            ));
        }
        let given = [
            ("delay", self.delay.is_some()),
            ("status", self.status.is_some()),
            ("eas_status", self.eas_status.is_some()),
            ("bytes", self.bytes.is_some()),
            ("location", self.location.is_some()),
            ("trigger", self.trigger.is_some()),
        ];
        let known = self.fault.attributes();
        if let Some((unknown, _)) = given
            .iter()
            .find(|(attribute, is_given)| *is_given && !known.contains(attribute))
        {
            let known = match known {
                [] => "none".to_owned(),
                known => known.join(", "),
            };
            return Some(format!(
                "{name}: `{unknown}` means nothing here; its attributes are: {known}"
            ));
        }
        let scoped = self.user.is_some() || self.device.is_some() || self.command.is_some();
        if !self.fault.is_per_request()
            && (scoped || self.probability < 1.0 || !self.stable.is_zero())
        {
            return Some(format!(
                "{name}: it concerns the whole server, so user, device, command, probability and \
                 stable mean nothing here"
            ));
        }
        if let Some(command) = &self.command
            && command != OPTIONS
            && eas::Command::ALL
                .iter()
                .all(|known| !known.as_str().eq_ignore_ascii_case(command))
        {
            return Some(format!("{name}: `{command}` is no EAS command"));
        }
        self.missing()
    }

    fn missing(&self) -> Option<String> {
        let name = self.fault.as_str();
        let missing = |what: &str| Some(format!("{name}: {what}"));
        match self.fault {
            FaultKind::Latency | FaultKind::IdleTimeout if self.delay.is_none() => {
                missing("needs `delay`")
            }
            _ if self
                .status
                .is_some_and(|status| !(300..=599).contains(&status)) =>
            {
                missing("`status` must be between 300 and 599")
            }
            FaultKind::Error => match (self.status, self.eas_status) {
                (None, None) | (Some(_), Some(_)) => {
                    missing("needs either `status` or `eas_status`")
                }
                _ => None,
            },
            FaultKind::Redirect if self.location.is_none() => missing("needs `location`, a URL"),
            FaultKind::Drip if self.bytes == Some(0) => missing("`bytes` must be at least 1"),
            _ if self.bytes.is_some_and(|bytes| bytes > MAX_BYTES) => {
                missing("`bytes` must be at most 64 MiB")
            }
            _ => None,
        }
    }
}

/// Faults in force at a time. Each request looks through all of them.
pub const MAX_FAULTS: usize = 1000;

/// Bytes of a text of a fault.
const MAX_TEXT: usize = 2048;

/// What is wrong with the faults of a list, if anything.
#[must_use]
pub fn problems(faults: &[Fault]) -> Vec<String> {
    if faults.len() > MAX_FAULTS {
        return vec![format!(
            "expected at most {MAX_FAULTS} faults in force, found {}",
            faults.len()
        )];
    }
    faults.iter().filter_map(Fault::problem).collect()
}

/// More garbage than any client reads, and little enough to be held in memory.
pub const MAX_BYTES: u64 = 64 << 20;

/// OPTIONS in a fault's scope.
pub const OPTIONS: &str = "OPTIONS";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_faults_is_bounded() {
        let fault = Fault::new(FaultKind::Reset);
        assert_eq!(problems(&vec![fault.clone(); MAX_FAULTS]), [""; 0]);
        assert_eq!(
            problems(&vec![fault.clone(); MAX_FAULTS + 1]),
            ["expected at most 1000 faults in force, found 1001"]
        );
        let long = Fault {
            user: Some("x".repeat(MAX_TEXT + 1)),
            ..fault
        };
        assert_eq!(
            problems(&[long]),
            ["reset: expected texts of at most 2048 bytes"]
        );
    }

    #[test]
    fn wrong_attributes_are_refused() {
        let with = |change: fn(&mut Fault), kind| {
            let mut fault = Fault::new(kind);
            change(&mut fault);
            fault.problem()
        };
        for (problem, expected) in [
            (with(|_| (), FaultKind::Latency), "needs `delay`"),
            (with(|_| (), FaultKind::Error), "needs either"),
            (
                with(|f| f.status = Some(200), FaultKind::Error),
                "between 300 and 599",
            ),
            (
                with(|f| f.status = Some(600), FaultKind::RetryAfter),
                "between 300 and 599",
            ),
            (with(|_| (), FaultKind::IdleTimeout), "needs `delay`"),
            (
                with(|f| f.bytes = Some(1), FaultKind::Reset),
                "`bytes` means nothing",
            ),
            (
                with(|f| f.probability = 2.0, FaultKind::Reset),
                "between 0 and 1",
            ),
            (
                with(|f| f.user = Some("x".into()), FaultKind::StopPool),
                "whole server",
            ),
            (
                with(|f| f.command = Some("Pong".into()), FaultKind::Reset),
                "no EAS command",
            ),
        ] {
            let problem = problem.unwrap_or_default();
            assert!(problem.contains(expected), "{problem}");
        }
        assert_eq!(Fault::strand(0.5).problem(), None);
    }
}
