//! What shows a recycle, and a recycle as it was seen.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shows a recycle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// The pool's recycle counter rose.
    Counter,
    /// A worker process appeared that was not there before. From then on it takes the new requests,
    /// so the old one drains.
    NewWorker(String),
    /// The pool's count of created workers rose.
    WorkerCreated,
    /// The youngest worker process started later than the youngest one before.
    WorkerStarted,
    /// The worker's count of requests fell and stayed below: it counts from its start.
    TotalFell,
    /// WAS killed a worker at its shutdown limit.
    ShutdownFailure,
    /// Many held Pings were cut at once.
    CutPings(u64),
    /// Many open requests were cut at once, and too few of them were held Pings to show it.
    CutRequests(u64),
    /// Many held Pings were answered at once before their heartbeat, though nothing had changed: so
    /// does a server that ends in an orderly way.
    EarlyPings(u64),
    /// A gateway lost its server under many held Pings, for some seconds.
    LostPings(u64),
    /// A gateway lost its server under many requests, for some seconds, and too few of them were held
    /// Pings to show it.
    LostRequests(u64),
    /// The server refused connections for some seconds, and then took them again.
    Refused(u64),
    /// After such seconds the server answers again.
    Back,
    /// Few requests ended in these ways, but right after the recycle was triggered, and more than before.
    AfterTrigger(u64),
    /// A worker process has gone.
    OldWorkerGone(String),
}

impl Sign {
    /// Whether the server itself shows the beginning of a recycle.
    pub(super) const fn is_beginning(&self) -> bool {
        matches!(
            self,
            Self::Counter
                | Self::NewWorker(_)
                | Self::WorkerCreated
                | Self::WorkerStarted
                | Self::TotalFell
        )
    }

    /// Whether it is seen from outside, in what became of requests.
    pub(super) const fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::CutPings(_)
                | Self::CutRequests(_)
                | Self::EarlyPings(_)
                | Self::LostPings(_)
                | Self::LostRequests(_)
                | Self::Refused(_)
                | Self::Back
                | Self::AfterTrigger(_)
        )
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counter => formatter.write_str("the pool's recycle counter rose"),
            Self::NewWorker(pid) => write!(
                formatter,
                "worker {pid} appeared and takes the new requests"
            ),
            Self::WorkerCreated => formatter.write_str("the pool's count of created workers rose"),
            Self::WorkerStarted => formatter.write_str("a worker process started"),
            Self::TotalFell => formatter.write_str(
                "the worker's count of requests fell, as it does when its process is new",
            ),
            Self::ShutdownFailure => {
                formatter.write_str("an old worker was killed at its shutdown limit")
            }
            Self::CutPings(count) => write!(formatter, "{count} held Pings were cut at once"),
            Self::CutRequests(count) => write!(formatter, "{count} open requests were cut at once"),
            Self::EarlyPings(count) => write!(
                formatter,
                "{count} held Pings were answered at once, before their heartbeat"
            ),
            Self::LostPings(count) => write!(
                formatter,
                "a gateway lost the server under {count} held Pings at once"
            ),
            Self::LostRequests(count) => write!(
                formatter,
                "a gateway lost the server under {count} requests at once"
            ),
            Self::Refused(count) => write!(
                formatter,
                "the server refused {count} connections, and then took them again"
            ),
            Self::Back => formatter.write_str("the server answers again"),
            Self::AfterTrigger(count) => write!(
                formatter,
                "{count} requests were cut, lost or refused right after the trigger, more than before it"
            ),
            Self::OldWorkerGone(pid) => write!(formatter, "worker {pid} is gone"),
        }
    }
}

/// A recycle that was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recycle {
    /// When it was first seen: end of the interval, in seconds of the run.
    pub t: f64,
    /// Its stages in order, each with its time.
    pub stages: Vec<(f64, Sign)>,
}

impl Recycle {
    /// One line for each stage.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let stages = self.stages.iter();
        stages
            .map(|(t, sign)| {
                let since = t - self.t;
                if since > 0.0 {
                    format!("at {t:.0} s (+{since:.0} s) {sign}")
                } else {
                    format!("at {t:.0} s {sign}")
                }
            })
            .collect()
    }

    /// Pings that were cut at once.
    #[must_use]
    pub fn cut(&self) -> u64 {
        let cut = self.stages.iter().map(|(_, sign)| match sign {
            Sign::CutPings(count) => *count,
            _ => 0,
        });
        cut.sum()
    }

    /// Enters a stage in its place.
    pub(super) fn enter(&mut self, t: f64, sign: Sign) {
        let place = self.stages.partition_point(|(at, _)| *at <= t);
        self.stages.insert(place, (t, sign));
        self.t = self.t.min(t);
    }

    /// When the last of its stages was seen. Only then does the server answer again.
    pub(super) fn last_failure(&self) -> f64 {
        let failures = self.stages.iter().rev();
        failures
            .filter(|(_, sign)| *sign != Sign::Back)
            .map(|(t, _)| *t)
            .next()
            .unwrap_or(self.t)
    }

    /// Whether the server itself showed its beginning.
    pub(super) fn is_known(&self) -> bool {
        self.stages.iter().any(|(_, sign)| sign.is_beginning())
    }

    /// Whether it happened between two times. The server's own figures say when it began. What is seen from
    /// outside may follow something else that looked alike, or be an outage that the recycle ended, so any of
    /// its stages counts.
    #[must_use]
    pub fn is_within(&self, from: f64, to: f64) -> bool {
        let within = |t: f64| (from..=to).contains(&t);
        let by_stage = |(t, sign): &(f64, Sign)| sign.is_outside() && within(*t);
        within(self.t) || (!self.is_known() && self.stages.iter().any(by_stage))
    }
}
