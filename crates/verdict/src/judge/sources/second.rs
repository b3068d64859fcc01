//! What the devices know of a second.

use std::collections::BTreeMap;

use scenario::names::{Counter, DeviceState};

use super::UNSETTLED;
use crate::timeline::Interval;

/// A source whose last reading is older does not count any more.
const DEAD: f64 = 60.0;
/// What a source may lag behind the devices beside its own period: both are read once a second, and a server may need
/// some seconds to notice.
pub(super) const PROMPT: f64 = 5.0;

/// How often the server was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Readings {
    /// Age of the last reading, and number of readings, by source.
    sources: BTreeMap<String, (f64, u64)>,
    seconds: u64,
    /// The oldest age that was declared so far.
    pub(super) oldest: f64,
    /// Readings of the slowest source.
    pub(super) count: u64,
    /// Whether the last second brought one.
    pub(super) is_fresh: bool,
}

impl Readings {
    pub(super) fn push(&mut self, interval: &Interval) {
        /// An old reading ages by a second each second.
        const HALF: f64 = 0.5;
        self.seconds += 1;
        for (name, age) in interval.gauges.range("source.".to_owned()..) {
            if !name.starts_with("source.") {
                break;
            }
            let (before, count) = self.sources.entry(name.clone()).or_insert((f64::MAX, 0));
            *count += u64::from(*age < *before + HALF);
            *before = *age;
            if *age < DEAD {
                self.oldest = self.oldest.max(*age);
            }
        }
        let alive = self.sources.values().filter(|(age, _)| *age < DEAD);
        let count = alive.map(|(_, count)| *count).min();
        // Without ages each second is taken for a reading.
        let count = count.unwrap_or(self.seconds).max(self.count);
        self.is_fresh = count > self.count;
        self.count = count;
    }
}

/// A second of the devices.
#[derive(Debug, Clone)]
pub(super) struct Second {
    pub(super) t: f64,
    pub(super) phase: String,
    /// The phase is one in which figures can be compared.
    pub(super) is_settled: bool,
    /// Devices of the run.
    pub(super) devices: f64,
    /// Requests that devices have open.
    pub(super) open: f64,
    /// Pings among them.
    pub(super) holding: f64,
    /// Requests that were answered well.
    pub(super) answered: f64,
    /// Pings that were cut.
    pub(super) cut: f64,
    /// Requests that the server has in its queue.
    pub(super) queued: f64,
    /// The most requests that the server takes at a time, if it says so.
    pub(super) limit: Option<f64>,
    has_hanging_syncs: bool,
    /// Number of readings of the server so far.
    pub(super) readings: u64,
    pub(super) is_fresh: bool,
    /// The oldest age that a source declared so far: its period.
    pub(super) period: f64,
}

impl Second {
    pub(super) fn of(interval: &Interval, readings: &Readings) -> Self {
        let level = |name: &str| interval.gauge(name).unwrap_or(0.0);
        let count = |counter| interval.count(counter) as f64;
        let devices = DeviceState::ALL
            .iter()
            .map(|state| level(&format!("devices.{}", state.as_str())));
        let holding = format!("devices.{}", DeviceState::Holding.as_str());
        Self {
            t: interval.t,
            phase: interval.phase.clone(),
            is_settled: !UNSETTLED.contains(&interval.phase.as_str()),
            devices: devices.sum(),
            open: interval.open_requests(),
            holding: level(&holding),
            answered: count(Counter::Answers) - count(Counter::HttpErrors),
            cut: count(Counter::PingsCut),
            queued: level("server.queue"),
            limit: interval.gauge("server.request_limit"),
            has_hanging_syncs: interval.count(Counter::HangingSyncs) > 0,
            readings: readings.count,
            is_fresh: readings.is_fresh,
            period: readings.oldest,
        }
    }
}

/// Moments that both the devices and the server see.
#[derive(Debug, Clone, Default)]
pub(super) struct Events {
    /// When most of the held Pings were cut.
    pub(super) bursts: Vec<f64>,
    before: f64,
    pub(super) period: f64,
    pub(super) has_hanging_syncs: bool,
}

/// A recycle begins before the end of the old worker by up to shutdownTimeLimit, 90 s with IIS.
pub(super) const SHUTDOWN: f64 = 95.0;

/// Moments of a kind that are kept.
pub(super) const MOST: usize = 64;

impl Events {
    pub(super) fn push(&mut self, second: &Second) {
        /// Of the held Pings: a network that loses some is no recycle.
        const SHARE: f64 = 0.5;
        /// Of fewer, a handful makes a share.
        const LEAST: f64 = 5.0;
        /// A burst may last from one second into the next.
        const APART: f64 = 3.0;
        let is_burst = second.cut >= LEAST && second.cut >= SHARE * self.before;
        let is_new = self
            .bursts
            .last()
            .is_none_or(|last| second.t - last > APART);
        if is_burst && is_new && self.bursts.len() < MOST {
            self.bursts.push(second.t);
        }
        self.before = second.holding;
        self.period = second.period;
        self.has_hanging_syncs |= second.has_hanging_syncs;
    }

    /// How much later than the devices the server reported a recycle, if it was late: the first sign that belongs to no
    /// burst, after a burst without a sign.
    pub(super) fn lag(&self, signs: &[f64]) -> Option<f64> {
        /// A sign that comes even later belongs to something else.
        const LATEST: f64 = 300.0;
        let late = PROMPT + self.period;
        let fits = |burst: f64, sign: f64| sign >= burst - SHUTDOWN && sign <= burst + late;
        let silent = |burst: &&f64| !signs.iter().any(|sign| fits(**burst, *sign));
        let stray = |sign: &&f64| !self.bursts.iter().any(|burst| fits(*burst, **sign));
        self.bursts.iter().filter(silent).find_map(|burst| {
            let mut stray = signs.iter().filter(stray);
            let sign = stray.find(|sign| **sign > *burst && **sign <= *burst + LATEST)?;
            Some(sign - burst)
        })
    }

    /// Whether something was cut near that moment, so that a fall has a reason.
    pub(super) fn explains(&self, t: f64) -> bool {
        /// Shutting down and starting again take seconds.
        const NEAR: f64 = 10.0;
        let near = NEAR + self.period;
        self.bursts.iter().any(|burst| (t - burst).abs() <= near)
    }
}
