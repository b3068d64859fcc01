//! Can the server's figures be right? A source that lies must not carry a verdict.
//!
//! Pure: seconds of a timeline in, doubts out. A figure is compared with what the devices know themselves, and with its
//! own past. Memory does not grow with the run.

mod counter;
mod level;
mod second;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use counter::Counters;
use level::Level;
use second::{Events, Readings, Second};

use super::gauge;
use crate::timeline::Interval;

/// Why a figure is doubted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtKind {
    /// It stood still while the devices' load changed.
    Frozen,
    /// It was below what the devices surely had open.
    Below,
    /// It was below zero.
    Negative,
    /// It was missing, or not a number.
    Missing,
    /// It rose and fell by much, while the devices' requests hardly changed.
    Jumping,
    /// It reported events much later than the devices saw them.
    Stale,
    /// It began again from a lower value although nothing was recycled.
    Restarted,
    /// It passed the largest value that its counter can hold.
    Wrapped,
}

/// A figure that cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// Name of the gauge; `server.*` for every figure of the server.
    pub gauge: &'static str,
    /// What is wrong with it.
    pub kind: DoubtKind,
    /// A sentence with the figure that shows it.
    pub text: String,
}

/// The gauge of a doubt that concerns every figure of the server.
pub(super) const ALL: &str = "server.*";

impl Doubt {
    /// Whether a conclusion from that gauge rests on what is doubted.
    #[must_use]
    pub fn covers(&self, gauge: &str) -> bool {
        self.gauge == gauge || (self.gauge == ALL && gauge.starts_with("server."))
    }
}

/// The doubts about the server's figures in a timeline of seconds.
pub fn doubts<'a>(seconds: impl IntoIterator<Item = &'a Interval>) -> Vec<Doubt> {
    let mut watch = Watch::default();
    for second in seconds {
        watch.push(second);
    }
    watch.doubts()
}

/// The phase in which devices stop. Nothing is judged in it.
const DRAIN: &str = "drain";
/// Phases in which a figure may be absent or behind for good reasons.
const UNSETTLED: [&str; 2] = ["ramp", "recycle"];

/// Figures of a server that are never negative, with their names for people.
const WATCHED: [(&str, &str); 10] = [
    (gauge::ACTIVE, "Active Requests"),
    (gauge::PENDING, "Ping Commands Pending"),
    (gauge::MEMORY, "private memory"),
    (gauge::GC, "% Time in GC"),
    (gauge::CPU, "CPU"),
    (gauge::MAILBOX, "mailbox latency"),
    (REQUESTS, "requests_total"),
    (RECYCLES, "recycles"),
    (CREATED, "workers_created"),
    (STARTED, "worker_started"),
];

const REQUESTS: &str = "server.requests_total";
const RECYCLES: &str = "server.recycles";
const CREATED: &str = "server.workers_created";
const STARTED: &str = "server.worker_started";
/// Worker processes of the pool.
const WORKERS: &str = "server.workers";

fn name(gauge: &str) -> &'static str {
    let found = WATCHED.iter().find(|(known, _)| *known == gauge);
    found.map_or("a figure of the server", |(_, name)| name)
}

/// Seconds in which a gauge should have been there, and those in which it was not.
#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    seconds: u32,
    missing: u32,
}

/// What is known of one gauge whatever it measures.
#[derive(Debug, Clone, Default)]
struct Basics {
    /// By phase.
    presence: BTreeMap<String, Presence>,
    seen: u32,
    negative: u32,
    lowest: f64,
}

/// Takes the seconds of a run in, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    readings: Readings,
    events: Events,
    basics: [Basics; WATCHED.len()],
    active: Level,
    pending: Level,
    counters: Counters,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            readings: Readings::default(),
            events: Events::default(),
            basics: Default::default(),
            active: Level::new(gauge::ACTIVE),
            pending: Level::new(gauge::PENDING),
            counters: Counters::default(),
        }
    }
}

impl Watch {
    pub(super) fn push(&mut self, interval: &Interval) {
        // Devices stop then, all at once and before the server's figures say so.
        if interval.phase == DRAIN {
            return;
        }
        self.readings.push(interval);
        let second = Second::of(interval, &self.readings);
        self.events.push(&second);
        for ((gauge, _), basics) in WATCHED.iter().zip(&mut self.basics) {
            basics.push(&second, interval.gauge(gauge));
        }
        let active = interval.gauge(gauge::ACTIVE);
        self.active.push(&second, active, second.open);
        let pending = interval.gauge(gauge::PENDING);
        self.pending.push(&second, pending, second.holding);
        self.counters.push(&second, interval);
    }

    pub(super) fn doubts(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        for ((gauge, _), basics) in WATCHED.iter().zip(&self.basics) {
            basics.doubts(gauge, &mut doubts);
        }
        self.active.doubts(&self.events, &mut doubts);
        // A hanging Sync is held by the device and no Ping of the server.
        if !self.events.has_hanging_syncs {
            self.pending.doubts(&self.events, &mut doubts);
        }
        let is_prompt = self.active.is_prompt(&self.events) || self.pending.is_prompt(&self.events);
        self.counters.doubts(&self.events, is_prompt, &mut doubts);
        doubts
    }
}

impl Basics {
    fn push(&mut self, second: &Second, value: Option<f64>) {
        // Before the first reading, the source had not begun.
        if (self.seen > 0 || value.is_some()) && second.is_settled {
            let presence = self.presence.entry(second.phase.clone()).or_default();
            presence.seconds += 1;
            presence.missing += u32::from(value.is_none());
        }
        if let Some(value) = value {
            self.seen += 1;
            self.negative += u32::from(value < 0.0);
            self.lowest = self.lowest.min(value);
        }
    }

    fn doubts(&self, gauge: &'static str, doubts: &mut Vec<Doubt>) {
        /// Of a phase: a source may fail now and then.
        const SHARE: f64 = 0.2;
        /// A single failure of a source that is read every five seconds is no pattern.
        const LEAST: u32 = 6;
        if self.negative > 0 {
            doubts.push(Doubt {
                gauge,
                kind: DoubtKind::Negative,
                text: format!(
                    "{} was negative in {} of {} s (lowest {})",
                    name(gauge),
                    self.negative,
                    self.seen,
                    self.lowest
                ),
            });
        }
        let missing = self.presence.iter().find(|(_, presence)| {
            presence.missing >= LEAST
                && f64::from(presence.missing) > SHARE * f64::from(presence.seconds)
        });
        if let Some((phase, presence)) = missing {
            doubts.push(Doubt {
                gauge,
                kind: DoubtKind::Missing,
                text: format!(
                    "{} was missing or no number in {} of {} s of {phase}",
                    name(gauge),
                    presence.missing,
                    presence.seconds
                ),
            });
        }
    }
}
